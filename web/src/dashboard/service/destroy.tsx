import { useState } from "preact/hooks";
import type { ApiError } from "../api";
import { Dialog } from "../parts/dialog";
import { Failure } from "../parts/failure";
import { Typed } from "../parts/typed";
import type { Service } from "../state";

interface DestroyProps {
  service: Service;
  busy: boolean;
  error: ApiError | null;
  close: () => void;
  destroy: (finalBackup: boolean) => void;
}

/** Has the name typed before the data is gone. */
export function Destroy({ service, busy, error, close, destroy }: DestroyProps) {
  const { name, viewerActions } = service;
  const [typed, setTyped] = useState("");
  const [wanted, setWanted] = useState(false);
  const offered = viewerActions.includes("CREATE_BACKUP");
  // What was ticked, and can't be done any more, must not be left out in silence.
  const last = wanted && (offered || busy);
  const lost = wanted && !last;
  return (
    <Dialog
      class="small"
      title={`Destroy ${name}?`}
      close={close}
      submit={() => typed === name && !busy && !lost && destroy(last)}
      footer={
        <>
          {error && <Failure error={error} />}
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="danger solid" disabled={busy || lost || typed !== name}>
            {last ? "Back up, then destroy" : "Destroy for good"}
          </button>
        </>
      }
    >
      <p>
        This removes the service <strong>and all its data, for good</strong>.{" "}
        {last ? "Only its backups are left, to be restored into a new service." : "Nobody can bring it back."} Its history is kept.
      </p>
      {(offered || wanted) && (
        <label class="card">
          <input type="checkbox" checked={wanted} onChange={(event) => setWanted(event.currentTarget.checked)} />
          <span>
            <strong>Back it up once more first</strong>
            <span class="quiet">
              {lost
                ? "It can’t be backed up now. Wait until it runs and nothing else is being done about it, or untick this."
                : "It is destroyed once that backup is verified. What is written to it after the backup has begun goes with it. If the backup fails, the service stays."}
            </span>
          </span>
        </label>
      )}
      <Typed name={name} typed={typed} change={setTyped} first />
    </Dialog>
  );
}
