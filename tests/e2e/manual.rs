//! The manual pages, as a person and as a packager gets them.

use crate::support::Home;

#[test]
fn each_page_is_one_that_man_reads_without_a_complaint() {
    let home = Home::new();
    let dir = home.base().join("share");
    home.ctl(["man", "--dir", &dir.to_string_lossy()]).ok();
    let pages = ["man1", "man5"].iter().flat_map(|part| std::fs::read_dir(dir.join(part)).unwrap());
    let pages: Vec<_> = pages.map(|page| page.unwrap().path()).collect();
    assert!(pages.len() > 15, "{pages:?}");
    for page in pages {
        // What man itself calls; with warnings.
        let mut groff = home.program("groff".as_ref(), ["-man", "-Tascii", "-P-cbou", "-ww", "-rLL=80n"]);
        groff.arg(&page);
        let output = home.finish(groff);
        assert_eq!((output.code(), output.stderr.as_str()), (0, ""), "{}", page.display());
        assert!(
            output.stdout.contains("SEE ALSO") || ["daemonrun.1", "teelog.1"].iter().any(|name| page.ends_with(name)),
            "{}",
            page.display()
        );
    }
}

#[test]
fn a_page_is_found_by_the_name_of_its_command() {
    let home = Home::new();
    assert!(home.ctl(["man", "start"]).ok().stdout.contains("daemonctl start [OPTIONS]"));
    assert!(home.ctl(["man", "conf"]).ok().stdout.contains("memory_limit"));
    assert!(home.ctl(["man"]).ok().stdout.contains("COMMANDS"));
    let set = home.ctl(["man", "config", "set"]).ok().stdout;
    assert!(set.contains("daemonctl config set [APP] [KEY=VALUE]..."), "{set}");
    assert_eq!(home.ctl(["man", "config-set"]).ok().stdout, set);
    home.ctl(["man", "config", "sett"]).exits(2).explains("there is no page \"config sett\"");
    home.ctl(["man", "strat"]).exits(2).explains("there is no page \"strat\"");
}
