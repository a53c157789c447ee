//! Lists in which nothing may stand twice.

use std::ops::Range;

use crate::condition::Statuses;
use crate::probe::StatusSet;
use crate::reader::Reader;
use crate::setting::Field;
use crate::value::OneOrMore;
use crate::wording::quoted;

/// What a list says, of which nothing may be there twice.
pub(super) fn unique<T, U: PartialEq>(
    key: &str,
    list: &Field<OneOrMore<T>>,
    what: impl Fn(&T) -> U,
    reader: &mut Reader,
) -> Vec<U> {
    let mut all = Vec::with_capacity(list.value.0.len());
    for field in &list.value.0 {
        let one = what(&field.value);
        if all.contains(&one) {
            report_repeated(key, field.span.clone(), reader);
        }
        all.push(one);
    }
    all
}

/// The statuses that the setting `key` lists.
pub(super) fn statuses<const LEAST: u16>(list: &[Field<Statuses<LEAST>>], key: &str, reader: &mut Reader) -> StatusSet {
    let mut all = StatusSet::default();
    for one in list {
        let before = all;
        all = all.with(one.value.first, one.value.last);
        if all == before {
            report_repeated(key, one.span.clone(), reader);
        }
    }
    all
}

/// Reports that something of the list `key` is in it twice.
pub(super) fn report_repeated(key: &str, span: Range<usize>, reader: &mut Reader) {
    let message = format!("{} has this already, in what stands before", quoted(key));
    reader.report(span, message, "remove it");
}
