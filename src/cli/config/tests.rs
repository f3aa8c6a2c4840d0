//! The help of every command below `config`.

use clap::{Args, ColorChoice, Command};

use super::Config;

#[test]
fn the_help_of_each_action() {
    let mut command = Config::augment_args(Command::new("config")).bin_name("daemonctl config").term_width(100);
    command.build();
    let texts = command
        .get_subcommands_mut()
        .map(|action| action.clone().color(ColorChoice::Never).term_width(100).render_help().to_string());
    insta::assert_snapshot!(texts.collect::<Vec<_>>().join("\n=====\n"));
}
