//! What a client wants to read (RFC 9110, sections 12.5.1 and 12.5.3, and GraphQL over HTTP, "Accept").

use async_graphql::parser::types::OperationType;
use axum::http::{HeaderMap, HeaderName, header};

/// A media type that GraphQL is answered in. They differ in the status of requests that can't be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// `application/json`: 200 for every well-formed GraphQL request.
    Json,
    /// `application/graphql-response+json`: the status tells whether the request was executed.
    GraphqlResponse,
}

impl Media {
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json; charset=utf-8",
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
        }
    }
}

/// What a client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// None when it reads event streams only.
    media: Option<Media>,
    events: bool,
}

impl Accepted {
    /// None when the client reads nothing that an operation could be answered in.
    pub fn by(headers: &HeaderMap) -> Option<Self> {
        let (media, events) = (media(headers), reads_events(headers));
        (media.is_some() || events).then_some(Self { media, events })
    }

    /// The media type of an answer that is no event stream: for whoever reads nothing but events, a refusal.
    pub fn media(self) -> Media {
        self.media.unwrap_or(Media::Json)
    }

    /// Whether the results of an operation go out as events: those of a subscription can't go otherwise, others do when
    /// the client reads nothing else.
    pub fn wants_events(self, operation: Option<OperationType>) -> bool {
        self.events && (self.media.is_none() || operation == Some(OperationType::Subscription))
    }
}

/// Whether the client named `text/event-stream` among what it reads. One that reads anything does not expect a stream.
fn reads_events(headers: &HeaderMap) -> bool {
    weight(&ranges(headers), "text", "event-stream").is_some_and(|weight| weight.specificity == 2)
}

/// The media type to answer in; None when the client takes neither. `application/json` for those who don't care, since
/// they may be from before there was another one.
fn media(headers: &HeaderMap) -> Option<Media> {
    let ranges = ranges(headers);
    if ranges.is_empty() {
        return Some(Media::Json);
    }
    let json = weight(&ranges, "application", "json");
    let response = weight(&ranges, "application", "graphql-response+json");
    match (json, response) {
        (None, None) => None,
        (Some(_), None) => Some(Media::Json),
        (None, Some(_)) => Some(Media::GraphqlResponse),
        (Some(json), Some(response)) => Some(if response.beats(&json) { Media::GraphqlResponse } else { Media::Json }),
    }
}

/// Whether the client would rather have a page than data, as browsers do when somebody types the address.
pub fn prefers_html(headers: &HeaderMap) -> bool {
    let ranges = ranges(headers);
    let Some(html) = weight(&ranges, "text", "html").filter(|html| html.specificity == 2) else { return false };
    ["json", "graphql-response+json"]
        .into_iter()
        .filter_map(|subtype| weight(&ranges, "application", subtype))
        .all(|data| html.beats(&data))
}

/// Which of the offered content codings the client would rather have; the first of them where it does not care. None when
/// it names none of them.
pub fn coding<'a>(headers: &HeaderMap, offered: &[&'a str]) -> Option<&'a str> {
    let named: Vec<_> = elements(headers, header::ACCEPT_ENCODING).map(weighted).collect();
    let quality = |coding: &str| {
        let named_as = |name: &str| named.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        named_as(coding).or_else(|| named_as("*")).map_or(0.0, |(_, quality)| *quality)
    };
    let readable = offered.iter().map(|&coding| (coding, quality(coding))).filter(|(_, quality)| *quality > 0.0);
    readable.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(coding, _)| coding)
}

struct Range {
    kind: String,
    subtype: String,
    quality: f32,
}

/// How much a type is wanted: by its quality, then by how exactly it was named, then by how early.
struct Weight {
    quality: f32,
    specificity: u8,
    place: usize,
}

impl Weight {
    fn beats(&self, other: &Self) -> bool {
        if self.quality != other.quality {
            return self.quality > other.quality;
        }
        if self.specificity != other.specificity {
            return self.specificity > other.specificity;
        }
        self.place < other.place
    }
}

fn ranges(headers: &HeaderMap) -> Vec<Range> {
    elements(headers, header::ACCEPT).filter_map(range).collect()
}

/// The elements of a header that is a list, over all its lines.
fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(','))
}

/// What is named, and its quality.
fn weighted(element: &str) -> (&str, f32) {
    let (named, parameters) = element.split_once(';').unwrap_or((element, ""));
    let mut parameters = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let quality = parameters.find(|(key, _)| key.trim().eq_ignore_ascii_case("q"));
    (named.trim(), quality.map_or(1.0, |(_, value)| value.trim().parse().unwrap_or(0.0)))
}

fn range(element: &str) -> Option<Range> {
    let (named, quality) = weighted(element);
    let (kind, subtype) = named.split_once('/')?;
    Some(Range { kind: kind.to_ascii_lowercase(), subtype: subtype.to_ascii_lowercase(), quality })
}

/// The weight of a type by the most exact range that it falls under; None when that refuses it, or when there is none.
fn weight(ranges: &[Range], kind: &str, subtype: &str) -> Option<Weight> {
    let specificity = |range: &Range| match (range.kind.as_str(), range.subtype.as_str()) {
        ("*", "*") => Some(0),
        (k, "*") if k == kind => Some(1),
        (k, s) if k == kind && s == subtype => Some(2),
        _ => None,
    };
    let fitting = ranges.iter().enumerate().filter_map(|(place, range)| {
        specificity(range).map(|specificity| Weight { quality: range.quality, specificity, place })
    });
    fitting.max_by_key(|weight| (weight.specificity, usize::MAX - weight.place)).filter(|weight| weight.quality > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(accept: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())])
    }

    #[test]
    fn the_client_chooses_the_media_type() {
        let table = [
            ("*/*", Some(Media::Json)),
            ("application/*", Some(Media::Json)),
            ("application/json", Some(Media::Json)),
            ("application/graphql-response+json", Some(Media::GraphqlResponse)),
            ("application/graphql-response+json, application/json;q=0.9", Some(Media::GraphqlResponse)),
            ("application/graphql-response+json;q=0.5, application/json;q=0.9", Some(Media::Json)),
            (
                "application/graphql-response+json; charset=utf-8, application/json; charset=utf-8",
                Some(Media::GraphqlResponse),
            ),
            ("application/json, application/graphql-response+json", Some(Media::Json)),
            ("application/graphql-response+json, */*", Some(Media::GraphqlResponse)),
            ("application/json;q=0, */*", Some(Media::GraphqlResponse)),
            ("text/html", None),
            ("*/*;q=0", None),
            ("nonsense", Some(Media::Json)),
        ];
        for (accept, expected) in table {
            assert_eq!(media(&headers(accept)), expected, "{accept}");
        }
        assert_eq!(media(&HeaderMap::new()), Some(Media::Json));
    }

    #[test]
    fn subscriptions_are_streamed_to_who_reads_streams_and_the_rest_to_who_reads_nothing_else() {
        for (accept, query, subscription) in [
            ("text/event-stream", true, true),
            ("Text/Event-Stream; charset=utf-8", true, true),
            ("application/json, text/event-stream", false, true),
            ("text/event-stream, application/json;q=0.5", false, true),
            ("text/event-stream;q=0, application/json", false, false),
            ("application/json", false, false),
            ("*/*", false, false),
            ("text/*, application/json", false, false),
        ] {
            let accepted = Accepted::by(&headers(accept)).unwrap();
            let wants = [OperationType::Query, OperationType::Subscription]
                .map(|operation| accepted.wants_events(Some(operation)));
            assert_eq!(wants, [query, subscription], "{accept}");
        }
        for accept in ["text/html", "text/*", "text/event-stream;q=0"] {
            assert_eq!(Accepted::by(&headers(accept)), None, "{accept}");
        }
    }

    #[test]
    fn the_client_chooses_the_coding() {
        let table = [
            ("gzip, deflate, br, zstd", Some("br")),
            ("gzip, deflate", Some("gzip")),
            ("GZIP;q=1.0, br;q=0.5", Some("gzip")),
            ("br;q=0, *", Some("gzip")),
            ("*", Some("br")),
            ("br;q=0, gzip;q=0", None),
            ("identity", None),
            ("", None),
        ];
        for (accept, expected) in table {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, accept.parse().unwrap())]);
            assert_eq!(coding(&headers, &["br", "gzip"]), expected, "{accept}");
        }
        assert_eq!(coding(&HeaderMap::new(), &["br", "gzip"]), None);
    }

    #[test]
    fn browsers_prefer_pages() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
        assert!(prefers_html(&headers(browser)));
        for accept in ["*/*", "application/json", "application/json, text/html;q=0.9", "application/json, text/html"] {
            assert!(!prefers_html(&headers(accept)), "{accept}");
        }
    }
}
