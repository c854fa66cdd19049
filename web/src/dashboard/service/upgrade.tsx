import { useEffect, useRef, useState } from "preact/hooks";
import type { ApiError } from "../api";
import { Dialog } from "../parts/dialog";
import { Failure } from "../parts/failure";
import type { Service } from "../state";
import { course, obstacle } from "./upgrading";

interface UpgradeProps {
  service: Service;
  /** How its kind is called. */
  kind: string;
  busy: boolean;
  error: ApiError | null;
  close: () => void;
  upgrade: (version: string) => void;
}

/** Asks which version a service is to have, and says what happens on the way to it. */
export function Upgrade({ service, kind, busy, error, close, upgrade }: UpgradeProps) {
  const { name, version, upgradesTo } = service;
  const [chosen, setChosen] = useState<string | null>(null);
  const [asked, setAsked] = useState<string | null>(null);
  // Those that were there when this was opened, so that what was chosen does not go away under somebody's hands.
  const before = useRef({ version, upgradesTo });
  const body = useRef<HTMLDivElement>(null);
  const versions = upgradesTo.length > 0 ? upgradesTo : before.current.upgradesTo;
  const to = versions.find((version) => version === chosen) ?? versions[0];
  const blocked = busy ? null : obstacle(service);
  // It is about the version that was asked for, and no other.
  const refusal = !busy && asked === to ? error : null;
  const wrong = refusal?.field === "version";
  useEffect(() => {
    if (wrong) body.current?.querySelector<HTMLElement>(":checked")?.focus({ preventScroll: true });
  }, [wrong]);

  const submit = () => {
    if (!to || blocked || busy) return;
    setAsked(to);
    upgrade(to);
  };
  return (
    <Dialog
      class="upgrade"
      title={`Upgrade ${name}`}
      close={close}
      submit={submit}
      footer={
        <>
          {refusal && <Failure error={refusal} />}
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="primary" aria-disabled={busy} disabled={!to || blocked !== null}>
            {to ? `Upgrade to ${to}` : "Upgrade"}
          </button>
        </>
      }
    >
      <div class="resize" ref={body}>
        <p>
          It has version {version} of {kind} now.
        </p>
        <fieldset>
          <legend>New version</legend>
          <div class="versions">
            {versions.map((version, index) => (
              <label key={version} class="card">
                <input
                  type="radio"
                  name="version"
                  value={version}
                  data-first={index === 0 || undefined}
                  checked={version === to}
                  onChange={() => setChosen(version)}
                />
                <strong>
                  {kind} {version}
                </strong>
              </label>
            ))}
          </div>
        </fieldset>
        {to && (
          <ol class="course" aria-label="What happens">
            {course(service, to).map((step) => (
              <li key={step}>{step}</li>
            ))}
          </ol>
        )}
        <p class="quiet">
          Clients lose their connections when the copying begins and when the new version takes over, and connect again. If it fails, or
          the service is stopped or restarted meanwhile, it goes on in version {version} as it was.
        </p>
        <div role="status">
          {!busy && version !== before.current.version && <p>It was given version {version} in the meantime.</p>}
          {blocked && <p class="wrong">{blocked}</p>}
        </div>
      </div>
    </Dialog>
  );
}
