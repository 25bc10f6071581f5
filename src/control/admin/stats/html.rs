//! Stats as a page for a browser: the text, with a form to choose which.

use std::time::Duration;

use crate::admin::page::Parts;

const FORM: &str = "<form method='get'>\n\
    <label>Filter <input name='filter'></label>\n\
    <label>Type <select name='type'><option>All<option>Counters<option>Gauges\
    <option>Histograms<option>TextReadouts</select></label>\n\
    <label>Format <select name='format'><option>html<option>active-html<option>text<option>json\
    <option>prometheus</select></label>\n\
    <label>Buckets <select name='histogram_buckets'><option>summary<option>cumulative\
    <option>disjoint<option>detailed</select></label>\n\
    <label><input type='checkbox' name='usedonly'> Used only</label>\n\
    <button>Show</button>\n</form>\n";

/// `text` as a page, loaded again every `refresh`.
pub(super) fn page(text: Parts, refresh: Option<Duration>) -> Parts {
    let refresh = refresh.map_or_else(String::new, |every| {
        format!("<meta http-equiv='refresh' content='{}'>\n", every.as_secs())
    });
    let begin = format!(
        "<!DOCTYPE html>\n<html lang='en'>\n<head>\n<title>Nuncio Admin</title>\n{refresh}</head>\n\
         <body>\n{FORM}<pre>\n"
    );
    let end = "</pre>\n</body>\n</html>\n".to_owned();
    let text = text.map(|part| escaped(&part));
    Box::new(std::iter::once(begin).chain(text).chain(std::iter::once(end)))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_name_contains_is_no_markup() {
        let text = Box::new(std::iter::once("cluster.<b>&\": 1\n".to_owned()));
        let page: String = page(text, Some(Duration::from_secs(5))).collect();
        assert!(page.contains("<pre>\ncluster.&lt;b&gt;&amp;&quot;: 1\n</pre>"), "{page}");
        assert!(page.contains("http-equiv='refresh' content='5'"));
    }
}
