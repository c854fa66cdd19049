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

/// How the results of one operation are put into one response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `text/event-stream`: the distinct connections mode of graphql-sse (PROTOCOL.md there).
    Events,
    /// `multipart/mixed; subscriptionSpec=1.0`: Apollo's protocol for subscriptions over HTTP
    /// (apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol).
    Multipart,
}

/// What a client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// None when it reads streams only.
    media: Option<Media>,
    framing: Option<Framing>,
}

impl Accepted {
    /// None when the client reads nothing that an operation could be answered in.
    pub fn by(headers: &HeaderMap) -> Option<Self> {
        let (media, framing) = (media(headers), framing(headers));
        (media.is_some() || framing.is_some()).then_some(Self { media, framing })
    }

    /// The media type of an answer that is no stream: for whoever reads nothing but streams, a refusal.
    pub fn media(self) -> Media {
        self.media.unwrap_or(Media::Json)
    }

    /// How the results of an operation are streamed, if they are: those of a subscription can't go otherwise, others do
    /// when the client reads nothing else.
    pub fn framing(self, operation: Option<OperationType>) -> Option<Framing> {
        let streams = self.media.is_none() || operation == Some(OperationType::Subscription);
        self.framing.filter(|_| streams)
    }
}

/// What the client named among the streams that it reads. One that reads anything does not expect a stream.
fn framing(headers: &HeaderMap) -> Option<Framing> {
    let ranges = ranges(headers);
    let named = |kind, subtype| weight(&ranges, kind, subtype).filter(|weight| weight.specificity == 2);
    // With `deferSpec` and the like it is another protocol's.
    let parts = named("multipart", "mixed").filter(|weight| ranges[weight.place].is_subscription);
    match (named("text", "event-stream"), parts) {
        (Some(events), Some(parts)) if parts.beats(&events) => Some(Framing::Multipart),
        (Some(_), _) => Some(Framing::Events),
        (None, parts) => parts.map(|_| Framing::Multipart),
    }
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
    /// Whether it has the parameter `subscriptionSpec=1.0`.
    is_subscription: bool,
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
    let quality = parameter(element, "q");
    (essence(element), quality.map_or(1.0, |value| value.parse().unwrap_or(0.0)))
}

fn essence(element: &str) -> &str {
    element.split(';').next().unwrap_or_default().trim()
}

fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let mut parameters = element.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let found = parameters.find(|(key, _)| key.trim().eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim().trim_matches('"'))
}

fn range(element: &str) -> Option<Range> {
    let (named, quality) = weighted(element);
    let (kind, subtype) = named.split_once('/')?;
    let is_subscription = parameter(element, "subscriptionSpec") == Some("1.0");
    Some(Range { kind: kind.to_ascii_lowercase(), subtype: subtype.to_ascii_lowercase(), quality, is_subscription })
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
        let (events, parts) = (Some(Framing::Events), Some(Framing::Multipart));
        let apollo = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/graphql-response+json,\
                      application/json;q=0.9";
        for (accept, query, subscription) in [
            ("text/event-stream", events, events),
            ("Text/Event-Stream; charset=utf-8", events, events),
            ("application/json, text/event-stream", None, events),
            ("text/event-stream, application/json;q=0.5", None, events),
            ("text/event-stream;q=0, application/json", None, None),
            ("application/json", None, None),
            ("*/*", None, None),
            ("text/*, application/json", None, None),
            (apollo, None, parts),
            ("multipart/mixed; boundary=\"graphql\"; subscriptionSpec=\"1.0\"", parts, parts),
            ("multipart/mixed; deferSpec=20220824, application/json", None, None),
            ("multipart/mixed; subscriptionSpec=2.0, application/json", None, None),
            ("multipart/mixed; subscriptionSpec=1.0; q=0, text/event-stream", events, events),
            ("multipart/mixed; subscriptionSpec=1.0, text/event-stream", parts, parts),
            ("multipart/mixed; subscriptionSpec=1.0; q=0.5, text/event-stream", events, events),
        ] {
            let accepted = Accepted::by(&headers(accept)).unwrap();
            let framing =
                [OperationType::Query, OperationType::Subscription].map(|operation| accepted.framing(Some(operation)));
            assert_eq!(framing, [query, subscription], "{accept}");
        }
        for accept in
            ["text/html", "text/*", "text/event-stream;q=0", "multipart/mixed", "multipart/mixed; deferSpec=1"]
        {
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
