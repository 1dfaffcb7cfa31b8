//! Which file uses what another one defines.

use std::collections::BTreeMap;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{
    Attribute, Expr, ExprMethodCall, ImplItem, Item, ItemImpl, ItemUse, Macro, Type, Visibility,
};

use crate::modules::{Modules, Path, Target, attributes, is_re_export, is_test_only, leaves};
use crate::sources::Sources;

/// A use of one file by another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrow {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) line: usize,
    /// What is used, as it stands in the code.
    pub(crate) what: String,
    /// Whether it is a call of an own method that another file defines: `self.method()` within an
    /// `impl` of the same type.
    pub(crate) own_call: bool,
}

/// The arrows between the files of all crates with a root in a source folder.
pub(crate) fn of_folder(sources: &Sources, source: &str) -> Vec<Arrow> {
    let mut arrows: Vec<Arrow> =
        sources.roots(source).iter().flat_map(|root| of_crate(sources, root)).collect();
    arrows.sort();
    arrows.dedup();
    arrows
}

fn of_crate(sources: &Sources, root: &str) -> Vec<Arrow> {
    let modules = Modules::parse(sources, root);
    let methods = methods(&modules);
    let mut arrows = Vec::new();
    for module in 0..modules.0.len() {
        let mut reader =
            Reader { modules: &modules, methods: &methods, module, own: None, arrows: &mut arrows };
        for item in &modules.0[module].items {
            reader.visit_item(item);
        }
    }
    arrows
}

/// A type, by the file that defines it and its name.
type TypeName = (String, String);

/// The files that define each method of a type, outside of traits.
type Methods = BTreeMap<(TypeName, String), Vec<String>>;

fn methods(modules: &Modules) -> Methods {
    let mut methods = Methods::new();
    for (id, module) in modules.0.iter().enumerate() {
        for item in &module.items {
            let Item::Impl(block) = item else { continue };
            let Some(of) = implemented(modules, id, block) else { continue };
            if block.trait_.is_some() {
                continue;
            }
            for item in &block.items {
                if let ImplItem::Fn(method) = item {
                    let key = (of.clone(), method.sig.ident.to_string());
                    methods.entry(key).or_default().push(module.file.clone());
                }
            }
        }
    }
    methods
}

/// The type that an `impl` is of, if this crate defines it.
fn implemented(modules: &Modules, module: usize, block: &ItemImpl) -> Option<TypeName> {
    let Type::Path(path) = &*block.self_ty else { return None };
    let path = text(&path.path);
    match modules.resolve(module, &path)? {
        Target::Item(file) => Some((file, path.last()?.clone())),
        Target::Module(_) => None,
    }
}

fn text(path: &syn::Path) -> Path {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

/// Reads the code of one module.
struct Reader<'a> {
    modules: &'a Modules,
    methods: &'a Methods,
    module: usize,
    /// The type whose `impl` is being read.
    own: Option<TypeName>,
    arrows: &'a mut Vec<Arrow>,
}

impl Reader<'_> {
    fn arrow(&mut self, to: &str, line: usize, what: String, own_call: bool) {
        let from = &self.modules.0[self.module].file;
        if from != to {
            let (from, to) = (from.clone(), to.to_owned());
            self.arrows.push(Arrow { from, to, line, what, own_call });
        }
    }

    /// A path in the code. That of a module is not a use of anything in it.
    fn path(&mut self, path: &Path, line: usize) {
        if let Some(Target::Item(file)) = self.modules.resolve(self.module, path) {
            self.arrow(&file, line, path.join("::"), false);
        }
    }

    fn own_call(&mut self, method: &str, line: usize) {
        let Some(own) = self.own.clone() else { return };
        let methods = self.methods;
        let Some(files) = methods.get(&(own, method.to_owned())) else { return };
        if !files.contains(&self.modules.0[self.module].file) {
            self.arrow(&files[0], line, format!("self.{method}()"), true);
        }
    }

    /// Paths in what a macro is given, which may be anything.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path = Path::new();
        let mut line = 0;
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.token_path(&mut path, line);
                        line = ident.span().start().line;
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.token_path(&mut path, line);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.token_path(&mut path, line);
    }

    fn token_path(&mut self, path: &mut Path, line: usize) {
        if !path.is_empty() && path.len() > usize::from(path[0] == "self") {
            self.path(path, line);
        }
        path.clear();
    }

    /// Functions that serde is told of by their path.
    fn serde_paths(&mut self, tokens: TokenStream) {
        for token in tokens {
            if let TokenTree::Literal(literal) = token {
                let text = literal.to_string();
                let path: Path =
                    text.trim_matches('"').split("::").map(|part| part.to_owned()).collect();
                if path.len() > 1 {
                    self.path(&path, literal.span().start().line);
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test_only(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes = match item {
            ImplItem::Fn(item) => &item.attrs[..],
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            _ => &[],
        };
        if !is_test_only(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_impl(&mut self, block: &'ast ItemImpl) {
        let before = self.own.take();
        self.own = implemented(self.modules, self.module, block);
        visit::visit_item_impl(self, block);
        self.own = before;
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if is_re_export(&item.vis) {
            return;
        }
        for leaf in leaves(&item.tree) {
            match self.modules.resolve(self.module, &leaf.path) {
                Some(Target::Module(module)) if leaf.name.is_none() => {
                    let file = self.modules.0[module].file.clone();
                    self.arrow(&file, leaf.line, format!("{}::*", leaf.path.join("::")), false);
                }
                _ => self.path(&leaf.path, leaf.line),
            }
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if let Expr::Path(receiver) = &*call.receiver
            && receiver.path.is_ident("self")
        {
            self.own_call(&call.method.to_string(), call.method.span().start().line);
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let written = text(path);
        if let Some(first) = path.segments.first() {
            let line = first.ident.span().start().line;
            match &written[..] {
                [own, method] if own == "Self" => self.own_call(method, line),
                _ => self.path(&written, line),
            }
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        let path = text(&call.path);
        if let Some(Target::Item(file)) = self.modules.resolve_macro(self.module, &path) {
            let line = call.bang_token.spans[0].start().line;
            self.arrow(&file, line, format!("{}!", path.join("::")), false);
        }
        self.tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let syn::Meta::List(list) = &attribute.meta
            && list.path.is_ident("serde")
        {
            self.serde_paths(list.tokens.clone());
        }
    }

    /// `pub(in path)` uses nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}
