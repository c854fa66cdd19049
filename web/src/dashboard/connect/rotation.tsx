import { useState } from "preact/hooks";
import { useAction } from "../actions";
import { Confirm } from "../parts/dialog";
import { Failure } from "../parts/failure";
import type { Project } from "../project";
import type { Service } from "../state";

/** Changes the password, which clients have to be given then. */
export function Rotation({ project, service, hide }: { project: Project; service: Service; hide: () => void }) {
  const { ask, asking, error } = useAction(project, service);
  const [sure, setSure] = useState(false);
  if (!service.viewerActions.includes("ROTATE_CREDENTIALS")) return null;
  const rotate = async () => {
    hide();
    await ask("ROTATE_CREDENTIALS");
    setSure(false);
  };
  return (
    <section class="rotation part">
      <div class="grow">
        <h3>Password</h3>
        <p class="quiet">Change it if somebody knows it who should not, or from time to time. Nothing else changes.</p>
      </div>
      <button type="button" onClick={() => setSure(true)}>
        Change the password…
      </button>
      {error && <Failure error={error} />}
      {sure && (
        <Confirm
          title={`Change the password of ${service.name}?`}
          yes="Change the password"
          busy={asking !== null}
          close={() => setSure(false)}
          confirmed={rotate}
        >
          <p>
            Connections that are open stay open, but for kinds whose server has to begin anew. New ones need the new password: reveal it once this is done, and give it
            to whatever connects.
          </p>
        </Confirm>
      )}
    </section>
  );
}
