import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { useAction } from "../actions";
import type { ApiError } from "../api";
import type { Item } from "../parts/menu";
import { Confirm, Dialog } from "../parts/dialog";
import { Failure } from "../parts/failure";
import type { Project } from "../project";
import type { Service } from "../state";
import { ACTION, type Action } from "../words";

type Asked = "STOP" | "RESTART" | "DESTROY";

const WARNING: Record<"STOP" | "RESTART", ComponentChildren> = {
  STOP: "Everything that is connected to it loses its connection. The data is kept, and you can start it again at any time.",
  RESTART: "Everything that is connected to it loses its connection for a few seconds. The data is kept.",
};

/** What a viewer may do to a service now, with the questions that are asked before, and what went wrong the last time. */
export function useActions(project: Project, service: Service) {
  const { ask, asking, error } = useAction(project, service);
  const [asked, setAsked] = useState<Asked | null>(null);
  const actions = (["START", "RESTART", "STOP", "DESTROY"] as const).filter((action) => service.viewerActions.includes(action));
  const item = (action: Exclude<Action, "ROTATE_CREDENTIALS">): Item => ({
    label: action === "START" ? ACTION.START : `${ACTION[action]}…`,
    sign: action,
    danger: action === "DESTROY",
    act: () => {
      if (asking) return;
      if (action === "START") void ask("START");
      else setAsked(action);
    },
  });
  const confirmed = async (action: Asked) => {
    const accepted = await ask(action);
    // Destroying says in its dialog what went wrong, since a name was typed there.
    if (accepted || action !== "DESTROY") setAsked(null);
  };
  const busy = asking !== null;
  const dialog = asked && (
    asked === "DESTROY" ? (
      <Destroy service={service} busy={busy} error={error} close={() => setAsked(null)} destroy={() => confirmed("DESTROY")} />
    ) : (
      <Confirm
        title={`${ACTION[asked]} ${service.name}?`}
        yes={ACTION[asked]}
        busy={busy}
        close={() => setAsked(null)}
        confirmed={() => confirmed(asked)}
      >
        <p>{WARNING[asked]}</p>
      </Confirm>
    )
  );
  return {
    items: actions.map(item),
    dialog,
    error: asked === "DESTROY" ? null : error,
  };
}

interface DestroyProps {
  service: Service;
  busy: boolean;
  error: ApiError | null;
  close: () => void;
  destroy: () => void;
}

/** Has the name typed before the data is gone. */
function Destroy({ service, busy, error, close, destroy }: DestroyProps) {
  const [typed, setTyped] = useState("");
  return (
    <Dialog
      class="small"
      title={`Destroy ${service.name}?`}
      close={close}
      submit={() => typed === service.name && destroy()}
      footer={
        <>
          {error && <Failure error={error} />}
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="danger solid" disabled={busy || typed !== service.name}>
            Destroy for good
          </button>
        </>
      }
    >
      <p>
        This removes the service <strong>and all its data, for good</strong>. Nobody can bring it back. Its history is kept.
      </p>
      <label>
        <span>
          Type <code>{service.name}</code> to confirm
        </span>
        <input
          data-first
          value={typed}
          onInput={(event) => setTyped(event.currentTarget.value)}
          autoComplete="off"
          autoCapitalize="none"
          spellcheck={false}
        />
      </label>
    </Dialog>
  );
}
