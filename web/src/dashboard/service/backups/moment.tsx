import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { ApiError } from "../../api";
import type { Entry } from "../../create/provision";
import { Icon } from "../../icons";
import { Wrong } from "../../parts/failure";
import { useNow } from "../../parts/time";
import type { Project } from "../../project";
import type { Service } from "../../state";
import { atLength } from "../../words";
import { boundsOf, lagOf, type RecoveryWindow, timeIn } from "./moments";
import { Restore } from "./restore";

/** How often to look how far a window has come, in milliseconds: no event tells of that. */
const OFTEN = 15_000;

/** So many gaps are told one by one, the newest. */
const MOST = 5;

interface MomentsProps {
  project: Project;
  service: Service;
  entry: Entry | undefined;
  window: RecoveryWindow;
  mayChange: boolean;
  again: () => void;
  done: (service: Service) => void;
}

/** Which moments a service can be brought back to, and the way there. */
export function Moments({ project, service, entry, window, mayChange, again, done }: MomentsProps) {
  const [asked, setAsked] = useState(false);
  const now = useNow(OFTEN);
  const reader = useRef(again);
  reader.current = again;
  useEffect(() => {
    const timer = setInterval(() => document.hidden || reader.current(), OFTEN);
    return () => clearInterval(timer);
  }, []);
  const { earliest, latest, gaps } = window;
  const lag = lagOf(window, service, now);
  const told = gaps.slice(-MOST);
  return (
    <section class="schedule part" aria-labelledby="moments">
      <div class="grow">
        <h3 id="moments">Any moment</h3>
        <p>
          It can be brought back to any moment from <Time of={earliest} /> to <Time of={latest} />
          {gaps.length > 0 ? ", but for these:" : "."}
        </p>
        {gaps.length > 0 && (
          <ul class="gaps" aria-label="What is missing in between">
            {gaps.length > told.length && <li>{gaps.length - told.length} earlier gaps</li>}
            {told.map(({ from, to }) => (
              <li key={from}>
                between <Time of={from} /> and <Time of={to} />
              </li>
            ))}
          </ul>
        )}
        {lag && <p class="caution">{lag}</p>}
      </div>
      {entry && (mayChange || service.viewerActions.includes("RESTORE")) && (
        <button type="button" onClick={() => setAsked(true)}>
          <Icon sign="REVERT" size={16} /> Restore a moment…
        </button>
      )}
      {asked && entry && (
        <Restore
          project={project}
          service={service}
          entry={entry}
          from={window}
          mayChange={mayChange}
          close={() => setAsked(false)}
          done={(restored) => {
            setAsked(false);
            done(restored);
          }}
        />
      )}
    </section>
  );
}

function Time({ of }: { of: string }) {
  return <time dateTime={of}>{atLength(of)}</time>;
}

interface MomentProps {
  window: RecoveryWindow;
  moment: string;
  change: (moment: string) => void;
  /** What is wrong with it. */
  error: ApiError | null;
  first?: boolean;
}

/** Asks for the moment to go back to. */
export function Moment({ window, moment, change, error, first }: MomentProps) {
  const input = useRef<HTMLInputElement>(null);
  const hint = useId();
  useEffect(() => {
    if (error) input.current?.focus();
  }, [error]);
  const time = timeIn(moment);
  return (
    <div>
      <label>
        Moment
        <input
          ref={input}
          type="datetime-local"
          name="at"
          step="1"
          {...boundsOf(window)}
          required
          value={moment}
          data-first={first || undefined}
          onInput={(event) => change(event.currentTarget.value)}
          aria-describedby={hint}
          aria-invalid={error !== null}
        />
      </label>
      <div id={hint} class="hint">
        {error ? <Wrong error={error} /> : <p class="quiet">In your own time zone{time && `; in UTC it is ${time.slice(0, 19).replace("T", " ")}`}.</p>}
      </div>
    </div>
  );
}
