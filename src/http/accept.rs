//! What a client wants to read (RFC 9110, section 12.5.1, and GraphQL over HTTP, "Accept").

use async_graphql::parser::types::OperationType;
use axum::http::{HeaderMap, header};

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
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).filter_map(range).collect()
}

fn range(text: &str) -> Option<Range> {
    let mut parts = text.split(';').map(str::trim);
    let (kind, subtype) = parts.next()?.split_once('/')?;
    let quality = parts.filter_map(|part| part.split_once('=')).find(|(key, _)| key.trim().eq_ignore_ascii_case("q"));
    let quality = quality.map_or(1.0, |(_, value)| value.trim().parse().unwrap_or(0.0));
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
    fn browsers_prefer_pages() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
        assert!(prefers_html(&headers(browser)));
        for accept in ["*/*", "application/json", "application/json, text/html;q=0.9", "application/json, text/html"] {
            assert!(!prefers_html(&headers(accept)), "{accept}");
        }
    }
}
