//! Circles and backward arrows in a graph of files or of folders.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

use crate::arrows::Arrow;

/// Arrows between nodes, each node a file or a folder.
#[derive(Default)]
pub(crate) struct Graph {
    arrows: BTreeMap<String, BTreeMap<String, Vec<Arrow>>>,
}

impl Graph {
    /// Groups files into nodes. A file without a node is left out, and so are arrows within a node.
    pub(crate) fn new(arrows: &[Arrow], node: impl Fn(&str) -> Option<String>) -> Self {
        let mut graph = Self::default();
        for arrow in arrows {
            if let (Some(from), Some(to)) = (node(&arrow.from), node(&arrow.to))
                && from != to
            {
                let to = graph.arrows.entry(from).or_default().entry(to).or_default();
                to.push(arrow.clone());
            }
        }
        graph
    }

    fn after<'a>(&'a self, node: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.arrows.get(node).into_iter().flat_map(|to| to.keys().map(String::as_str))
    }

    /// The shortest way from a node back to itself.
    fn circle_through<'a>(&'a self, start: &'a str) -> Option<Vec<&'a str>> {
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            for next in self.after(node) {
                if next == start {
                    let mut way = vec![start, node];
                    while let Some(before) = came_from.get(way[way.len() - 1]) {
                        way.push(before);
                    }
                    if node == start {
                        way.pop();
                    }
                    way.reverse();
                    way.push(start);
                    way.dedup();
                    return Some(way);
                }
                if !came_from.contains_key(next) {
                    came_from.insert(next, node);
                    queue.push_back(next);
                }
            }
        }
        None
    }

    fn reached_from<'a>(&'a self, start: &'a str) -> BTreeSet<&'a str> {
        let mut reached = BTreeSet::new();
        let mut open = vec![start];
        while let Some(node) = open.pop() {
            for next in self.after(node) {
                if reached.insert(next) {
                    open.push(next);
                }
            }
        }
        reached
    }

    /// A text for each knot, the nodes that all reach one another: the shortest circle in it, and
    /// its arrows.
    pub(crate) fn circles(&self) -> Vec<String> {
        let reached: BTreeMap<&str, BTreeSet<&str>> =
            self.arrows.keys().map(|node| (node.as_str(), self.reached_from(node))).collect();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut texts = Vec::new();
        for (node, after) in &reached {
            if !after.contains(node) || seen.contains(node) {
                continue;
            }
            let is_in =
                |other: &&&str| reached.get(**other).is_some_and(|back| back.contains(node));
            let knot: BTreeSet<&str> = after.iter().filter(is_in).copied().collect();
            seen.extend(&knot);
            let ways = knot.iter().filter_map(|node| self.circle_through(node));
            let shortest = ways.min_by_key(Vec::len).unwrap_or_default();
            let mut text = format!(
                "a circle among {} files or folders: {}\n",
                knot.len(),
                shortest.join(" → ")
            );
            for from in &knot {
                for (to, arrows) in &self.arrows[*from] {
                    if knot.contains(to.as_str()) {
                        text.push_str(&arrow_line(from, to, arrows));
                    }
                }
            }
            texts.push(text);
        }
        texts
    }

    /// A text for each arrow from a lower floor to a higher one, and for each node on no floor.
    pub(crate) fn backward(&self, floors: &[&[&str]]) -> Vec<String> {
        let floor = |node: &str| floors.iter().position(|names| names.contains(&node));
        let mut texts = Vec::new();
        let mut nodes: BTreeSet<&str> = self.arrows.keys().map(String::as_str).collect();
        nodes.extend(self.arrows.values().flat_map(|to| to.keys().map(String::as_str)));
        for node in nodes.iter().filter(|node| floor(node).is_none()) {
            texts.push(format!("on no floor: {node}\n"));
        }
        for (from, after) in &self.arrows {
            for (to, arrows) in after {
                if let (Some(lower), Some(higher)) = (floor(from), floor(to))
                    && lower < higher
                {
                    texts.push(format!("upwards:\n{}", arrow_line(from, to, arrows)));
                }
            }
        }
        texts
    }
}

fn arrow_line(from: &str, to: &str, arrows: &[Arrow]) -> String {
    let mut line = format!("  {from} → {to}");
    if let Some(first) = arrows.first() {
        let _ = write!(line, "  ({}:{}: {}", first.from, first.line, first.what);
        if arrows.len() > 1 {
            let _ = write!(line, ", and {} more", arrows.len() - 1);
        }
        line.push(')');
    }
    line.push('\n');
    line
}
