//! Lists that come in pages.

use kube::api::ListParams;
use kube::core::ListMeta;

/// What asks for the page after this one; none after the last.
pub(crate) fn after(params: ListParams, page: &ListMeta) -> Option<ListParams> {
    let token = page.continue_.as_deref().filter(|token| !token.is_empty())?;
    Some(params.continue_token(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_after_one_that_has_a_token() {
        let next = |token: Option<&str>| {
            let page = ListMeta { continue_: token.map(str::to_owned), ..ListMeta::default() };
            after(ListParams::default().limit(5), &page)
        };
        assert_eq!(next(Some("t")), Some(ListParams::default().limit(5).continue_token("t")));
        assert_eq!((next(Some("")), next(None)), (None, None));
    }
}
