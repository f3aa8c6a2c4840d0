//! What a change would do to a file, as people know it from diff(1).

/// Unchanged lines shown around a change.
const CONTEXT: usize = 3;

/// The unified form; empty where nothing differs. The parts of a change that are far from each other have a hunk each.
pub(super) fn unified(name: &str, old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let script = script(&old, &new);
    let changed: Vec<usize> = (0..script.len()).filter(|at| script[*at].0 != ' ').collect();
    let mut text = String::new();
    for group in changed.chunk_by(|a, b| b - a <= 2 * CONTEXT) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let (from, to) = (first.saturating_sub(CONTEXT), (last + CONTEXT + 1).min(script.len()));
        let count = |marks: [char; 2], lines: &[(char, &str)]| lines.iter().filter(|(m, _)| marks.contains(m)).count();
        let (before, hunk) = (&script[..from], &script[from..to]);
        let range = |marks: [char; 2]| {
            let (start, length) = (count(marks, before), count(marks, hunk));
            format!("{},{length}", if length == 0 { start } else { start + 1 })
        };
        text += &format!("@@ -{} +{} @@\n", range([' ', '-']), range([' ', '+']));
        hunk.iter().for_each(|(mark, line)| text += &format!("{mark}{line}\n"));
    }
    if text.is_empty() { text } else { format!("--- {name}\n+++ {name}\n{text}") }
}

/// Every line of both, marked as kept, gone or new: what both have in common is as long as it can be.
fn script<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(char, &'a str)> {
    let same_start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let most = old.len().min(new.len()) - same_start;
    let same_end = old.iter().rev().zip(new.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    let (a, b) = (&old[same_start..old.len() - same_end], &new[same_start..new.len() - same_end]);
    // Length of the longest common part of what is left from each pair of lines on.
    let mut common = vec![vec![0u32; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i][j] = if a[i] == b[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let mut script: Vec<_> = old[..same_start].iter().map(|line| (' ', *line)).collect();
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            script.push((' ', a[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && common[i + 1][j] >= common[i][j + 1]) {
            script.push(('-', a[i]));
            i += 1;
        } else {
            script.push(('+', b[j]));
            j += 1;
        }
    }
    script.extend(old[old.len() - same_end..].iter().map(|line| (' ', *line)));
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_shown_with_what_is_around_them() {
        let old: String = (1..=20).map(|n| format!("line {n}\n")).collect();
        let new = old.replace("line 3\n", "line three\n").replace("line 18\n", "line 18\nand a half\n");
        insta::assert_snapshot!(unified("conf.toml", &old, &new));
        assert_eq!(unified("x", &old, &old), "");
        assert_eq!(unified("x", "", "a\n"), "--- x\n+++ x\n@@ -0,0 +1,1 @@\n+a\n");
    }
}
