//! What a service took and held over a time, from what was recorded minute by minute.

use jiff::{SignedDuration, Timestamp};

use super::live::UsageRecord;

/// How long a minute's record is kept, in minutes.
pub const KEPT_MINUTES: i64 = 24 * 60;

/// How far a history goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryRange {
    Hour,
    SixHours,
    Day,
}

impl HistoryRange {
    const fn minutes(self) -> i64 {
        match self {
            Self::Hour => 60,
            Self::SixHours => 6 * 60,
            Self::Day => KEPT_MINUTES,
        }
    }

    /// How much time one point stands for, in seconds: a chart has room for a few hundred.
    pub const fn step_seconds(self) -> i64 {
        match self {
            Self::Hour => 60,
            Self::SixHours => 120,
            Self::Day => 300,
        }
    }
}

/// What was recorded in a range, step by step.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    pub range: HistoryRange,
    pub from: Timestamp,
    /// The end of the step that is not over yet.
    pub to: Timestamp,
    /// In the order of time. A step of which nothing was recorded has none.
    pub points: Vec<Point>,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Its beginning.
    pub at: Timestamp,
    /// In thousandths of a core, the mean.
    pub cpu_millis: u32,
    /// The highest.
    pub memory_bytes: u64,
    /// The newest count.
    pub storage_bytes: Option<u64>,
    /// The highest count.
    pub connections: Option<u32>,
}

impl History {
    /// The span of a range at `now`, from its beginning to its end.
    pub fn span(range: HistoryRange, now: Timestamp) -> (Timestamp, Timestamp) {
        let step = range.step_seconds();
        let end = now.as_second().div_euclid(step).saturating_add(1).saturating_mul(step);
        let time = |second| Timestamp::from_second(second).unwrap_or(now);
        (time(end - range.minutes() * 60), time(end))
    }

    /// The history at `now`, of records in the order of time.
    pub fn of(records: &[UsageRecord], range: HistoryRange, now: Timestamp) -> Self {
        let (from, to) = Self::span(range, now);
        let within = records.iter().filter(|record| record.minute >= from && record.minute < to);
        let within: Vec<_> = within.copied().collect();
        let step_of = |record: &UsageRecord| record.minute.as_second().div_euclid(range.step_seconds());
        let steps = within.chunk_by(|one, next| step_of(one) == step_of(next));
        let points = steps.filter_map(|records| point(records, range.step_seconds())).collect();
        Self { range, from, to, points }
    }
}

fn point(records: &[UsageRecord], step: i64) -> Option<Point> {
    let first = records.first()?;
    let cpu: u64 = records.iter().map(|record| u64::from(record.cpu_millis)).sum();
    let counted = || records.iter().filter_map(|record| record.holdings);
    Some(Point {
        at: Timestamp::from_second(first.minute.as_second().div_euclid(step) * step).unwrap_or(first.minute),
        cpu_millis: u32::try_from(cpu / records.len() as u64).unwrap_or(u32::MAX),
        memory_bytes: records.iter().map(|record| record.memory_bytes).max().unwrap_or_default(),
        storage_bytes: counted().next_back().map(|holdings| holdings.storage_bytes),
        connections: counted().map(|holdings| holdings.connections).max(),
    })
}

/// The minute that `time` is in.
pub fn minute_of(time: Timestamp) -> Timestamp {
    let into = SignedDuration::new(time.as_second().rem_euclid(60), time.subsec_nanosecond());
    time.checked_sub(into).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::id::ServiceId;
    use super::super::live::Holdings;
    use super::*;

    fn record(minute: &str, cpu_millis: u32, memory_bytes: u64, holdings: Option<(u64, u32)>) -> UsageRecord {
        let holdings = holdings.map(|(storage_bytes, connections)| Holdings { storage_bytes, connections });
        let minute = format!("2030-01-02T{minute}:00Z").parse().unwrap();
        UsageRecord { service: ServiceId(Uuid::nil()), minute, cpu_millis, memory_bytes, holdings }
    }

    #[test]
    fn a_step_has_the_mean_of_the_cpu_and_the_highest_of_the_rest() {
        let now = "2030-01-02T12:04:59Z".parse().unwrap();
        let records = [
            record("11:55", 100, 10, Some((7, 3))),
            record("11:56", 300, 30, None),
            record("11:59", 200, 20, Some((8, 2))),
            // Nothing from 12:00 to 12:02.
            record("12:03", 50, 5, None),
        ];
        let history = History::of(&records, HistoryRange::Day, now);
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!((history.from, history.to), (at("2030-01-01T12:05:00Z"), at("2030-01-02T12:05:00Z")));
        let first = Point {
            at: at("2030-01-02T11:55:00Z"),
            cpu_millis: 200,
            memory_bytes: 30,
            storage_bytes: Some(8),
            connections: Some(3),
        };
        let second = Point {
            at: at("2030-01-02T12:00:00Z"),
            cpu_millis: 50,
            memory_bytes: 5,
            storage_bytes: None,
            connections: None,
        };
        assert_eq!(history.points, [first, second]);
        let hour = History::of(&records, HistoryRange::Hour, now);
        assert_eq!(hour.points.iter().map(|point| point.cpu_millis).collect::<Vec<_>>(), [100, 300, 200, 50]);
    }

    #[test]
    fn what_is_older_than_the_range_is_left_out() {
        let now = "2030-01-02T12:00:00Z".parse().unwrap();
        let records = [record("11:00", 1, 1, None), record("11:01", 2, 2, None), record("12:00", 3, 3, None)];
        let history = History::of(&records, HistoryRange::Hour, now);
        assert_eq!(history.points.iter().map(|point| point.cpu_millis).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn the_minute_of_a_time_is_its_beginning() {
        let minute = minute_of("2030-01-02T12:34:56.789Z".parse().unwrap());
        assert_eq!(minute, "2030-01-02T12:34:00Z".parse().unwrap());
    }
}
