//! The modules of a crate, and in which file a path is defined.

use std::collections::BTreeMap;

use syn::{Attribute, ForeignItem, Item, Meta, UseTree, Visibility};

use crate::sources::Sources;

/// Imports of imports that are followed, more than any sane tree has.
const MAX_IMPORTS: usize = 16;

/// A path as it stands in the code.
pub(crate) type Path = Vec<String>;

/// A module: a file, or a block within one.
pub(crate) struct Module {
    pub(crate) file: String,
    /// What it holds, nested modules and tests left out.
    pub(crate) items: Vec<Item>,
    parent: Option<usize>,
    names: BTreeMap<String, Vec<Name>>,
    /// Paths that are imported as a whole: `use path::*`.
    globs: Vec<Path>,
}

/// What a name means in a module. One name may mean several things, such as a module and a
/// function.
enum Name {
    Defined,
    Module(usize),
    Imported(Path),
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    Module(usize),
    /// An item, by the file that defines it.
    Item(String),
}

/// All modules below one root.
pub(crate) struct Modules(pub(crate) Vec<Module>);

impl Modules {
    /// Parses the modules from a root on, leaving out those that exist in tests only.
    pub(crate) fn parse(sources: &Sources, root: &str) -> Self {
        let mut modules = Self(Vec::new());
        let items = parse_file(sources, root);
        let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
        modules.add(sources, None, root, folder, items);
        modules
    }

    /// Adds a module and those in it. Files of the modules that it declares are in `folder`.
    fn add(
        &mut self,
        sources: &Sources,
        parent: Option<usize>,
        file: &str,
        folder: &str,
        items: Vec<Item>,
    ) -> usize {
        let id = self.0.len();
        let (names, globs) = (BTreeMap::new(), Vec::new());
        self.0.push(Module { file: file.to_owned(), items: Vec::new(), parent, names, globs });
        for item in items {
            if is_test_only(attributes(&item)) {
                continue;
            }
            if let Item::Mod(module) = item {
                let name = module.ident.to_string();
                let below = format!("{folder}/{name}");
                let child = if let Some((_, items)) = module.content {
                    self.add(sources, Some(id), file, &below, items)
                } else {
                    let candidates = match path_attribute(&module.attrs) {
                        Some(path) => {
                            let beside = file.rsplit_once('/').map_or("", |(folder, _)| folder);
                            vec![format!("{beside}/{path}")]
                        }
                        None => vec![format!("{below}.rs"), format!("{below}/mod.rs")],
                    };
                    let found = candidates.iter().find(|path| sources.get(path).is_some());
                    let found = found.unwrap_or_else(|| panic!("{file}: no file of mod {name}"));
                    if found.ends_with("_tests.rs") {
                        continue;
                    }
                    self.add(sources, Some(id), found, &below, parse_file(sources, found))
                };
                self.name(id, &name, Name::Module(child));
            } else {
                self.define(id, &item);
                self.0[id].items.push(item);
            }
        }
        id
    }

    fn name(&mut self, module: usize, name: &str, means: Name) {
        self.0[module].names.entry(name.to_owned()).or_default().push(means);
    }

    /// Notes the names that an item brings into its module.
    fn define(&mut self, module: usize, item: &Item) {
        if let Item::Use(item) = item {
            for leaf in leaves(&item.tree) {
                match leaf.name {
                    Some(name) => self.name(module, &name, Name::Imported(leaf.path)),
                    None => self.0[module].globs.push(leaf.path),
                }
            }
            return;
        }
        if let Item::ForeignMod(block) = item {
            for item in &block.items {
                let name = match item {
                    ForeignItem::Fn(item) => &item.sig.ident,
                    ForeignItem::Static(item) => &item.ident,
                    ForeignItem::Type(item) => &item.ident,
                    _ => continue,
                };
                self.name(module, &name.to_string(), Name::Defined);
            }
            return;
        }
        let name = match item {
            Item::Const(item) => &item.ident,
            Item::Enum(item) => &item.ident,
            Item::Fn(item) => &item.sig.ident,
            Item::Static(item) => &item.ident,
            Item::Struct(item) => &item.ident,
            Item::Trait(item) => &item.ident,
            Item::TraitAlias(item) => &item.ident,
            Item::Type(item) => &item.ident,
            Item::Union(item) => &item.ident,
            Item::Macro(item) => match &item.ident {
                Some(name) => name,
                None => return,
            },
            _ => return,
        };
        self.name(module, &name.to_string(), Name::Defined);
    }

    /// What a path that stands in a module leads to; `None` outside of the crate, or unknown.
    pub(crate) fn resolve(&self, from: usize, path: &[String]) -> Option<Target> {
        self.follow(from, path, 0)
    }

    fn follow(&self, from: usize, path: &[String], imports: usize) -> Option<Target> {
        if imports > MAX_IMPORTS {
            return None;
        }
        let (mut at, mut rest) = match path.first()?.as_str() {
            "crate" => (0, &path[1..]),
            "self" => (from, &path[1..]),
            "super" => (from, path),
            name => match self.look_up(from, name, path.len() > 1, imports)? {
                Target::Module(module) => (module, &path[1..]),
                item @ Target::Item(_) => return Some(item),
            },
        };
        while let Some((name, after)) = rest.split_first() {
            if name == "super" {
                at = self.0[at].parent?;
            } else {
                match self.look_up(at, name, !after.is_empty(), imports) {
                    Some(Target::Module(module)) => at = module,
                    Some(item) => return Some(item),
                    // Made by a macro there, or of another crate but named through this module.
                    None => return Some(Target::Item(self.0[at].file.clone())),
                }
            }
            rest = after;
        }
        Some(Target::Module(at))
    }

    /// What a name means in a module. Where it means several things, `leads_on` says whether more
    /// of the path follows, so that a module is meant.
    fn look_up(&self, module: usize, name: &str, leads_on: bool, imports: usize) -> Option<Target> {
        let here = &self.0[module];
        if let Some(meanings) = here.names.get(name) {
            let targets: Vec<Target> = meanings
                .iter()
                .filter_map(|meaning| match meaning {
                    Name::Defined => Some(Target::Item(here.file.clone())),
                    Name::Module(module) => Some(Target::Module(*module)),
                    Name::Imported(path) => self.follow(module, path, imports + 1),
                })
                .collect();
            let is_wanted = |target: &&Target| matches!(target, Target::Module(_)) == leads_on;
            return targets.iter().find(is_wanted).or(targets.first()).cloned();
        }
        here.globs.iter().find_map(|path| match self.follow(module, path, imports + 1)? {
            Target::Module(from) if from != module && imports < MAX_IMPORTS => {
                self.look_up(from, name, leads_on, imports + 1)
            }
            _ => None,
        })
    }

    /// What a macro's name leads to: macros are also seen in the modules below the one that defines
    /// them.
    pub(crate) fn resolve_macro(&self, from: usize, path: &[String]) -> Option<Target> {
        let mut at = Some(from);
        while let (Some(module), [_]) = (at, path) {
            if let Some(target) = self.resolve(module, path) {
                return Some(target);
            }
            at = self.0[module].parent;
        }
        self.resolve(from, path)
    }
}

/// One path that a `use` imports.
pub(crate) struct Leaf {
    pub(crate) path: Path,
    /// The name that it has from then on, `None` for a `*`.
    pub(crate) name: Option<String>,
    pub(crate) line: usize,
}

/// The paths that a `use` imports.
pub(crate) fn leaves(tree: &UseTree) -> Vec<Leaf> {
    let mut found = Vec::new();
    collect(tree, &mut Vec::new(), &mut found);
    found
}

fn collect(tree: &UseTree, prefix: &mut Path, found: &mut Vec<Leaf>) {
    let mut push = |ident: &syn::Ident, name: String| {
        let mut path = prefix.clone();
        let ident_text = ident.to_string();
        if ident_text != "self" || path.is_empty() {
            path.push(ident_text);
        }
        let name = if name == "self" { path.last().cloned().unwrap_or_default() } else { name };
        found.push(Leaf { path, name: Some(name), line: ident.span().start().line });
    };
    match tree {
        UseTree::Name(leaf) => push(&leaf.ident, leaf.ident.to_string()),
        UseTree::Rename(leaf) => push(&leaf.ident, leaf.rename.to_string()),
        UseTree::Glob(leaf) => {
            let line = leaf.star_token.spans[0].start().line;
            found.push(Leaf { path: prefix.clone(), name: None, line });
        }
        UseTree::Path(part) => {
            prefix.push(part.ident.to_string());
            collect(&part.tree, prefix, found);
            prefix.pop();
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                collect(tree, prefix, found);
            }
        }
    }
}

/// Whether a `use` only gives a name to what others import: its visibility says so.
pub(crate) fn is_re_export(visibility: &Visibility) -> bool {
    !matches!(visibility, Visibility::Inherited)
}

/// Whether these attributes leave an item to tests: `#[cfg(test)]`, `#[cfg(all(test, …))]`,
/// `#[test]`.
pub(crate) fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("cfg") => {
            let condition: String =
                list.tokens.to_string().chars().filter(|c| !c.is_whitespace()).collect();
            condition == "test" || condition.starts_with("all(test,")
        }
        _ => false,
    })
}

/// The attributes of an item.
pub(crate) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            syn::Expr::Lit(literal) => match &literal.lit {
                syn::Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    })
}

fn parse_file(sources: &Sources, path: &str) -> Vec<Item> {
    let text = sources.get(path).unwrap_or_else(|| panic!("no file {path}"));
    match syn::parse_file(text) {
        Ok(file) => file.items,
        Err(error) => panic!("{path}:{}: {error}", error.span().start().line),
    }
}
