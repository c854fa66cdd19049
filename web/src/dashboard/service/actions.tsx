import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { useAction } from "../actions";
import type { ApiError } from "../api";
import type { Entry } from "../create/provision";
import type { ResizeApply, SizeTier } from "../generated";
import type { Item } from "../parts/menu";
import { Confirm, Dialog } from "../parts/dialog";
import { Failure } from "../parts/failure";
import type { Project } from "../project";
import type { Service } from "../state";
import { ACTION, type Action } from "../words";
import { offerBack } from "./back";
import { Resize } from "./resize";

type Asked = "STOP" | "RESTART" | "DESTROY" | "RESIZE";

const WARNING: Record<"STOP" | "RESTART", ComponentChildren> = {
  STOP: "Everything that is connected to it loses its connection. The data is kept, and you can start it again at any time.",
  RESTART: "Everything that is connected to it loses its connection for a few seconds. The data is kept.",
};

/** What a viewer may do to a service now, with the questions that are asked before, and what went wrong the last time. */
export function useActions(project: Project, service: Service, entry: Entry | undefined) {
  const { ask, resize, asking, error, forget } = useAction(project, service);
  const [asked, setAsked] = useState<Asked | null>(null);
  const actions = (["START", "RESTART", "STOP", "RESIZE", "DESTROY"] as const).filter(
    (action) => service.viewerActions.includes(action) && (action !== "RESIZE" || entry),
  );
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
  const close = () => {
    // What went wrong was said in its dialog, and was about what stood there.
    if (asked === "DESTROY" || asked === "RESIZE") forget();
    setAsked(null);
  };
  const resized = async (tier: SizeTier, apply: ResizeApply) => {
    const former = service.tier;
    const after = await resize(tier, apply);
    if (!after) return;
    setAsked(null);
    if (apply === "AT_NEXT_RESTART" && after.restartPending) offerBack(project, after, former);
  };
  const confirmed = async (action: Exclude<Asked, "RESIZE">) => {
    const accepted = await ask(action);
    // Destroying says in its dialog what went wrong, since a name was typed there.
    if (accepted || action !== "DESTROY") setAsked(null);
  };
  const busy = asking !== null;
  const dialog = asked && (
    asked === "DESTROY" ? (
      <Destroy service={service} busy={busy} error={error} close={close} destroy={() => confirmed("DESTROY")} />
    ) : asked === "RESIZE" ? (
      entry && <Resize service={service} entry={entry} busy={busy} error={error} close={close} resize={resized} />
    ) : (
      <Confirm
        title={`${ACTION[asked]} ${service.name}?`}
        yes={ACTION[asked]}
        busy={busy}
        close={close}
        confirmed={() => confirmed(asked)}
      >
        <p>{WARNING[asked]}</p>
      </Confirm>
    )
  );
  return {
    items: actions.map(item),
    dialog,
    error: asked === "DESTROY" || asked === "RESIZE" ? null : error,
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
