import { useEffect, useId, useMemo, useRef, useState } from "preact/hooks";
import { gaps, nearest, type Point, runs } from "./series";
import { timeInFull, timeLabel, timeTicks, valueTicks } from "./ticks";

export interface ChartProps {
  title: string;
  /** What it is now, in words. */
  now: string;
  points: readonly Point[];
  from: number;
  to: number;
  /** How long after a value the next one is due, in milliseconds. */
  every: number;
  /** Null where there is none. */
  limit: number | null;
  unit: "decimal" | "whole" | "binary";
  /** A value of the axis, with its unit. */
  tick: (value: number) => string;
  /** A value that is pointed at, with its unit. */
  exact: (value: number) => string;
  /** Whether each value is drawn as a dot of its own: it is counted now and then, and nobody knows what was in between. */
  dotted?: boolean;
  /** Whether the axis ends at the values instead of the limit. */
  close: boolean;
}

const HIGH = 168;
const TOP = 10;
const BOTTOM = 22;
const LEFT = 58;
const RIGHT = 10;

/** How far dots have to be from each other to be seen as such, in pixels. */
const APART = 7;

/** A line over a time below its limit. The pointer and the arrow keys read its values. */
export function Chart(props: ChartProps) {
  const { title, now, points, from, to, every, limit, unit, tick, exact, dotted, close } = props;
  const box = useRef<HTMLDivElement>(null);
  const wide = useWidth(box);
  /** The time that is pointed at: it stays while points come and go. */
  const [pointed, setPointed] = useState<number | null>(null);
  const hint = useId();

  const scale = useMemo(() => scaleOf(points, from, to, wide, limit, close), [points, from, to, wide, limit, close]);
  const { x, y, top } = scale;
  const times = timeTicks(from, to, (wide - LEFT - RIGHT) / 84);
  const values = valueTicks(top, 4, unit);
  const drawn = useMemo(() => runs(points, every), [points, every]);
  const missing = useMemo(() => gaps(points, from, to, every), [points, from, to, every]);
  const dots = dotted && points.length * APART <= wide - LEFT - RIGHT;

  const at = pointed === null ? -1 : nearest(points, pointed);
  const point = points[at];
  const read = (index: number) => setPointed(points[Math.max(0, Math.min(index, points.length - 1))]?.at ?? null);
  const key = (event: KeyboardEvent) => {
    const here = at < 0 ? points.length - 1 : at;
    const next = {
      ArrowLeft: here - 1,
      ArrowRight: here + 1,
      ArrowDown: here - 1,
      ArrowUp: here + 1,
      PageDown: here - 10,
      PageUp: here + 10,
      Home: 0,
      End: points.length - 1,
    }[event.key];
    if (next !== undefined) read(next);
    else if (event.key === "Escape" && point) setPointed(null);
    else return;
    event.preventDefault();
  };
  const follow = (event: PointerEvent) => {
    const left = box.current?.getBoundingClientRect().left ?? 0;
    setPointed(from + ((event.clientX - left - LEFT) / (wide - LEFT - RIGHT)) * (to - from));
  };
  // A finger is lifted so that one sees what is below it.
  const leave = (event: PointerEvent) => event.pointerType === "touch" || setPointed(null);
  const told = point ? `${timeInFull(point.at)}: ${exact(point.value)}` : points.length > 0 ? now : "Nothing was measured";
  const aside = point && x(point.at) > wide / 2;

  return (
    <figure class="chart part">
      <figcaption>
        <span>{title}</span> <strong>{now}</strong>
        {limit !== null && <span class="quiet">of {exact(limit)}</span>}
      </figcaption>
      <p id={hint} class="unseen">
        The arrow keys go from value to value.
      </p>
      <div
        ref={box}
        class="plot"
        role="slider"
        tabIndex={0}
        aria-label={`${title} over time`}
        aria-describedby={hint}
        aria-valuemin={0}
        aria-valuemax={Math.max(points.length - 1, 0)}
        aria-valuenow={at < 0 ? Math.max(points.length - 1, 0) : at}
        aria-valuetext={told}
        onKeyDown={key}
        onFocus={() => pointed === null && box.current?.matches(":focus-visible") && read(points.length - 1)}
        onBlur={() => setPointed(null)}
        onPointerMove={follow}
        onPointerDown={follow}
        onPointerLeave={leave}
      >
        <svg width={wide} height={HIGH} aria-hidden="true">
          {values.map((value) => (
            <g key={value}>
              <line class="grid" x1={LEFT} x2={wide - RIGHT} y1={y(value)} y2={y(value)} />
              <text x={LEFT - 6} y={y(value) + 4} text-anchor="end">
                {tick(value)}
              </text>
            </g>
          ))}
          {times.map((time) => (
            <g key={time}>
              <line class="grid" x1={x(time)} x2={x(time)} y1={HIGH - BOTTOM} y2={HIGH - BOTTOM + 4} />
              <text x={x(time)} y={HIGH - 5} text-anchor={x(time) > wide - 24 ? "end" : "middle"}>
                {timeLabel(time)}
              </text>
            </g>
          ))}
          {missing.map(([begin, end]) => (
            <rect key={begin} class="gap" x={x(begin)} y={TOP} width={Math.max(0, x(end) - x(begin))} height={HIGH - TOP - BOTTOM} />
          ))}
          {limit !== null && limit <= top && <line class="limit" x1={LEFT} x2={wide - RIGHT} y1={y(limit)} y2={y(limit)} />}
          {drawn.map((run) => (
            <Run key={run[0]?.at} run={run} scale={scale} dots={dots ?? false} filled={!dotted} />
          ))}
          {point && (
            <>
              <line class="pointed" x1={x(point.at)} x2={x(point.at)} y1={TOP} y2={HIGH - BOTTOM} />
              <circle class="pointed" cx={x(point.at)} cy={y(point.value)} r={4} />
            </>
          )}
        </svg>
        {point && (
          <p class="reading" style={aside ? { right: `${wide - x(point.at) + 8}px` } : { left: `${x(point.at) + 8}px` }}>
            <strong>{exact(point.value)}</strong> <span class="quiet">{timeInFull(point.at)}</span>
          </p>
        )}
      </div>
    </figure>
  );
}

type Scale = ReturnType<typeof scaleOf>;

function scaleOf(points: readonly Point[], from: number, to: number, wide: number, limit: number | null, close: boolean) {
  const most = points.reduce((most, { value }) => Math.max(most, value), 0);
  // Some air above the highest, so that a line at the limit is not one with the edge.
  const top = ((close || limit === null ? most : Math.max(most, limit)) || 1) * 1.06;
  return {
    top,
    x: (at: number) => round(LEFT + ((at - from) / (to - from)) * (wide - LEFT - RIGHT)),
    y: (value: number) => round(HIGH - BOTTOM - (value / top) * (HIGH - TOP - BOTTOM)),
  };
}

function round(pixels: number): number {
  return Math.round(pixels * 10) / 10;
}

/** What was measured without a gap. One value alone is a dot, since no line would show it. */
function Run({ run, scale: { x, y }, dots, filled }: { run: readonly Point[]; scale: Scale; dots: boolean; filled: boolean }) {
  const [first] = run;
  const last = run.at(-1);
  if (!first || !last) return null;
  const line = run.map(({ at, value }) => `${x(at)},${y(value)}`).join(" ");
  return (
    <>
      {filled && run.length > 1 && <polygon points={`${x(first.at)},${y(0)} ${line} ${x(last.at)},${y(0)}`} />}
      {run.length > 1 && <polyline points={line} />}
      {(dots ? run : run.length === 1 ? [first] : []).map(({ at, value }) => (
        <circle key={at} class="dot" cx={x(at)} cy={y(value)} r={2.2} />
      ))}
    </>
  );
}

/** How wide an element is, in pixels; a usual width until that is known. */
function useWidth(of: { current: HTMLElement | null }): number {
  const [wide, setWide] = useState(320);
  useEffect(() => {
    if (!of.current) return;
    const resized = new ResizeObserver(([entry]) => entry && setWide(Math.max(200, Math.floor(entry.contentRect.width))));
    resized.observe(of.current);
    return () => resized.disconnect();
  }, []);
  return wide;
}
