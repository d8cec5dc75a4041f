//! Recognizes return types that are futures by their text, the only thing that an attribute sees.

use syn::visit_mut::{VisitMut, visit_type_mut};
use syn::{
    GenericArgument, PathArguments, PathSegment, ReturnType, Type, TypeParamBound, parse_quote,
};

/// A return type that stands for work to come.
pub(crate) enum Returned {
    /// `impl Future<...>`.
    Future,
    /// A boxed one.
    Boxed(Boxed),
}

/// How to make the boxed future that the signature promises.
pub(crate) struct Boxed {
    /// The whole type, for coercions, with every `impl Trait` in it left to the compiler.
    pub(crate) ty: Box<Type>,
    /// `Box::pin` if true, else `Box::new`.
    pub(crate) pinned: bool,
}

/// What a function returns, if its text says that it is a future.
pub(crate) fn of(output: &ReturnType) -> Option<Returned> {
    let ReturnType::Type(_, ty) = output else { return None };
    let boxed = |pinned| Returned::Boxed(Boxed { ty: Box::new(without_impl(ty)), pinned });
    match bare(ty) {
        Type::ImplTrait(it) => names_future(&it.bounds).then_some(Returned::Future),
        Type::Path(path) => {
            let last = path.path.segments.last()?;
            if last.ident == "BoxFuture" || last.ident == "LocalBoxFuture" {
                return Some(boxed(true));
            }
            if last.ident == "Pin" {
                let Type::Path(inner) = argument(last)? else { return None };
                return holds_dyn_future(inner.path.segments.last()?).then(|| boxed(true));
            }
            holds_dyn_future(last).then(|| boxed(false))
        }
        _ => None,
    }
}

/// The type for a `let`, where `impl Trait` is not allowed; `None` if nothing would be left to say.
pub(crate) fn pinned_type(output: &ReturnType) -> Option<Type> {
    let ReturnType::Type(_, ty) = output else { return None };
    match bare(ty) {
        Type::ImplTrait(_) | Type::Infer(_) | Type::Never(_) => None,
        Type::Tuple(tuple) if tuple.elems.is_empty() => None,
        _ => Some(without_impl(ty)),
    }
}

fn without_impl(ty: &Type) -> Type {
    struct Erase;

    impl VisitMut for Erase {
        fn visit_type_mut(&mut self, ty: &mut Type) {
            if matches!(ty, Type::ImplTrait(_)) {
                *ty = parse_quote!(_);
            } else {
                visit_type_mut(self, ty);
            }
        }
    }

    let mut ty = ty.clone();
    Erase.visit_type_mut(&mut ty);
    ty
}

/// Without the parentheses and invisible groups that macros leave around a type.
fn bare(ty: &Type) -> &Type {
    match ty {
        Type::Paren(inner) => bare(&inner.elem),
        Type::Group(inner) => bare(&inner.elem),
        _ => ty,
    }
}

/// The only type argument of a path segment.
fn argument(segment: &PathSegment) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    let mut types = arguments.args.iter().filter_map(|it| match it {
        GenericArgument::Type(ty) => Some(bare(ty)),
        _ => None,
    });
    types.next()
}

fn holds_dyn_future(segment: &PathSegment) -> bool {
    let Some(Type::TraitObject(object)) = argument(segment) else { return false };
    segment.ident == "Box" && names_future(&object.bounds)
}

fn names_future<'a>(bounds: impl IntoIterator<Item = &'a TypeParamBound>) -> bool {
    bounds.into_iter().any(|it| match it {
        TypeParamBound::Trait(bound) => {
            bound.path.segments.last().is_some_and(|last| last.ident == "Future")
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::ToTokens;

    fn kind(text: &str) -> &'static str {
        let output: ReturnType = syn::parse_str(&format!("-> {text}")).unwrap();
        match of(&output) {
            Some(Returned::Future) => "future",
            Some(Returned::Boxed(Boxed { pinned: true, .. })) => "pinned box",
            Some(Returned::Boxed(_)) => "box",
            None => "value",
        }
    }

    #[test]
    fn futures_are_known_by_their_text() {
        for text in
            ["impl Future<Output = ()>", "impl Send + ::core::future::Future<Output = u8> + '_"]
        {
            assert_eq!(kind(text), "future", "{text}");
        }
        for text in [
            "Pin<Box<dyn Future<Output = ()> + Send + 'a>>",
            "::core::pin::Pin<::std::boxed::Box<dyn ::core::future::Future<Output = ()>>>",
            "futures::future::BoxFuture<'static, u8>",
            "LocalBoxFuture<'_, ()>",
        ] {
            assert_eq!(kind(text), "pinned box", "{text}");
        }
        assert_eq!(kind("Box<dyn Future<Output = ()> + Unpin>"), "box");
        for text in [
            "u8",
            "impl Iterator",
            "Pin<Box<dyn Stream>>",
            "Option<BoxFuture<'a, ()>>",
            "Ready<()>",
        ] {
            assert_eq!(kind(text), "value", "{text}");
        }
    }

    #[test]
    fn impl_trait_is_left_to_the_compiler() {
        let pinned = |text: &str| {
            let output: ReturnType = syn::parse_str(text).unwrap();
            pinned_type(&output).map(|it| it.to_token_stream().to_string())
        };
        assert_eq!(pinned("-> Result<impl Sized, E>").as_deref(), Some("Result < _ , E >"));
        assert_eq!(pinned("-> impl Sized"), None);
        assert_eq!(pinned("-> !"), None);
        assert_eq!(pinned("-> ()"), None);
        assert_eq!(pinned(""), None);
    }
}
