//! Who reaches whom as pictures: a graph for Graphviz, and a matrix that needs no other program.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use stockade_netpol::addresses::Family;
use stockade_netpol::connectivity::{Connectivity, Edge, Party};

/// Most parties of a picture: more than that nobody can look at.
pub const MAX_PICTURED: usize = 300;

/// Side of a cell of the matrix, in pixels.
const CELL: usize = 22;
/// Width of a character of a label, in pixels.
const CHARACTER: usize = 7;
/// Around everything, in pixels.
const MARGIN: usize = 16;

/// A graph of at most [`MAX_PICTURED`] parties in the language of Graphviz: a box for each namespace, an arrow where something is allowed. Arrows both ways
/// that allow the same are one.
pub fn dot(connectivity: &Connectivity) -> String {
    let mut text =
        "digraph connectivity {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n  \
                    edge [fontname=\"sans-serif\", fontsize=10];\n"
            .to_owned();
    let mut namespaces: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
    for (at, party) in connectivity.parties.iter().enumerate() {
        namespaces.entry(party.namespace()).or_default().push(at);
    }
    for (number, (namespace, members)) in namespaces.into_iter().enumerate() {
        let indent = if namespace.is_some() { "    " } else { "  " };
        if let Some(name) = namespace {
            let _ = writeln!(text, "  subgraph cluster_{number} {{\n    label={};", quoted(name));
        }
        // What is outside and reaches nobody says nothing.
        let joined = |at: &usize| connectivity.edges.iter().any(|edge| edge.from == *at || edge.to == *at);
        for at in members.into_iter().filter(|at| namespace.is_some() || joined(at)) {
            let label = within_namespace(&connectivity.parties[at]);
            let _ = writeln!(text, "{indent}p{at} [label={}];", quoted(&label));
        }
        if namespace.is_some() {
            text.push_str("  }\n");
        }
    }
    let edges: HashMap<(usize, usize, Option<Family>), &Edge> =
        connectivity.edges.iter().map(|edge| ((edge.from, edge.to, edge.family), edge)).collect();
    for edge in &connectivity.edges {
        let back = edges.get(&(edge.to, edge.from, edge.family)).filter(|_| edge.from != edge.to);
        let same = back.is_some_and(|back| back.connections == edge.connections);
        if same && edge.from > edge.to {
            continue;
        }
        let both = if same { ", dir=both" } else { "" };
        let _ = writeln!(text, "  p{} -> p{} [label={}{both}];", edge.from, edge.to, quoted(&described(edge)));
    }
    text.push_str("}\n");
    text
}

/// A matrix of at most [`MAX_PICTURED`] parties as SVG: a row for each sender, a column for each receiver. Full where everything is allowed, half where
/// some ports are, empty where none is; the title of a cell says which.
pub fn svg(connectivity: &Connectivity) -> String {
    let names: Vec<String> = connectivity.parties.iter().map(Party::to_string).collect();
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let labels = longest * CHARACTER + 8;
    let side = names.len() * CELL;
    let legend = 3 * CELL;
    // Columns are labelled at a slant, so that long names take little room beside each other.
    let slant = labels * 3 / 4;
    let (left, top) = (MARGIN + labels, MARGIN + slant);
    let (width, height) = (left + side + slant + MARGIN, top + side + legend + MARGIN);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"ui-monospace, monospace\" font-size=\"12\">\n<title>Who reaches whom: rows begin connections, columns \
         receive them</title>\n<rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    let _ = writeln!(
        text,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#595959\">from \u{2193} to \u{2192}</text>",
        left - 8,
        top - 8
    );
    for (at, name) in names.iter().enumerate() {
        let middle = at * CELL + CELL / 2;
        let name = escaped(name);
        let (x, y) = (left - 8, top + middle + 4);
        let _ = writeln!(text, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{name}</text>");
        let (x, y) = (left + middle, top - 8);
        let _ = writeln!(text, "<text x=\"{x}\" y=\"{y}\" transform=\"rotate(-45 {x} {y})\">{name}</text>");
    }
    let mut cells: BTreeMap<(usize, usize), Vec<&Edge>> = BTreeMap::new();
    for edge in &connectivity.edges {
        cells.entry((edge.from, edge.to)).or_default().push(edge);
    }
    for from in 0..names.len() {
        for to in 0..names.len() {
            let both_outside = [from, to].iter().all(|at| connectivity.parties[*at].is_outside());
            let one_pod = from == to && connectivity.parties[from].is_one_pod();
            let edges = cells.get(&(from, to)).map_or(&[][..], Vec::as_slice);
            let (fill, what) = cell(edges, both_outside || one_pod);
            let (x, y) = (left + to * CELL, top + from * CELL);
            let title = format!("{} to {}: {what}", names[from], names[to]);
            square(&mut text, (x, y), fill, &escaped(&title));
        }
    }
    let y = top + side + CELL;
    let mut x = MARGIN;
    for (fill, meaning) in [(FULL, "all ports"), (SOME, "some ports"), (NONE, "nothing"), (MUTE, "not asked")] {
        square(&mut text, (x, y), fill, meaning);
        let _ = writeln!(text, "<text x=\"{}\" y=\"{}\">{meaning}</text>", x + CELL + 6, y + CELL / 2 + 4);
        x += CELL + 6 + (meaning.len() + 3) * CHARACTER;
    }
    text.push_str("</svg>\n");
    text
}

/// Colours that differ in brightness too, for who does not tell them apart by hue.
const FULL: &str = "#1b7837";
const SOME: &str = "#a6dba0";
const NONE: &str = "#ffffff";
const MUTE: &str = "#d9d9d9";

fn cell(edges: &[&Edge], mute: bool) -> (&'static str, String) {
    if edges.is_empty() {
        return if mute { (MUTE, "not asked".to_owned()) } else { (NONE, "nothing".to_owned()) };
    }
    let all = edges.iter().all(|edge| edge.connections.is_all() && edge.family.is_none());
    let what: Vec<String> = edges.iter().map(|edge| described(edge)).collect();
    (if all { FULL } else { SOME }, what.join("; "))
}

fn square(text: &mut String, (x, y): (usize, usize), fill: &str, title: &str) {
    let _ = writeln!(
        text,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"{CELL}\" fill=\"{fill}\" stroke=\"#bdbdbd\"><title>{title}</title></rect>"
    );
}

fn described(edge: &Edge) -> String {
    let family = edge.family.map(|family| format!(" by {family}"));
    format!("{}{}", edge.connections, family.unwrap_or_default())
}

/// `web[Deployment]`: inside its namespace's box.
fn within_namespace(party: &Party) -> String {
    match party {
        Party::Workload { name, kind, .. } => format!("{name}\n{kind}"),
        Party::Outside(_) => party.to_string(),
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => quoted.push('?'),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() => escaped.push('?'),
            c => escaped.push(c),
        }
    }
    escaped
}
