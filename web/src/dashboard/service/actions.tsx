import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { useAction } from "../actions";
import type { Entry } from "../create/provision";
import type { ResizeApply, SizeTier } from "../generated";
import type { Item } from "../parts/menu";
import { Confirm, Dialog } from "../parts/dialog";
import { Failure } from "../parts/failure";
import { usePart } from "../parts/part";
import { toast } from "../parts/toasts";
import type { Project } from "../project";
import { addressOf } from "../route";
import type { Service } from "../state";
import { ACTION, type Action, atLength } from "../words";
import { offerBack } from "./back";

/** Those that are offered where the service itself is; its password is changed elsewhere. */
type Offered = Exclude<Action, "ROTATE_CREDENTIALS">;

/** Those that have a dialog of their own, and those that are only confirmed. */
const CHOSEN = ["RESIZE", "UPGRADE", "DESTROY"] as const;
type Chosen = (typeof CHOSEN)[number];
type Confirmed = Exclude<Offered, Chosen | "START">;

/** In the order that they are offered in. */
const USUAL = ["START", "RESTART", "STOP", "RESIZE", "DESTROY"] as const;
const RARE = ["UPGRADE", "REVERT", "UPDATE_IMAGE", "REPAIR"] as const;

interface Question {
  title: string;
  text: ComponentChildren;
  /** What the button says, if not what the action is called. */
  yes?: string;
}

const QUESTION: Record<Confirmed, (service: Service) => Question> = {
  STOP: ({ name }) => ({
    title: `Stop ${name}?`,
    text: "Everything that is connected to it loses its connection. The data is kept, and you can start it again at any time.",
  }),
  RESTART: ({ name }) => ({
    title: `Restart ${name}?`,
    text: "Everything that is connected to it loses its connection for a few seconds. The data is kept.",
  }),
  REVERT: (service) => ({
    title: `Take ${service.name} back to ${former(service)}?`,
    text: (
      <>
        Its data is then as it was{service.replaced && ` on ${atLength(service.replaced.replacedAt)}`}.{" "}
        <strong>What was written since is lost to it</strong>, and stays only with{" "}
        {service.replaced?.version === service.version ? "what it is now" : `version ${service.version}`}, which is kept in turn.
        Everything that is connected to it loses its connection.
      </>
    ),
    yes: `Go back to ${former(service)}`,
  }),
  UPDATE_IMAGE: ({ name, version }) => ({
    title: `Update the image of ${name}?`,
    text: (
      <>
        If there is a newer image of version {version}, it restarts from that: everything that is connected to it loses its connection
        for a few seconds. The data is kept.
      </>
    ),
  }),
  REPAIR: ({ name }) => ({
    title: `Repair ${name}?`,
    text: "Settings, port, role and password are put back as they should be. The data is left alone. Connections may be cut.",
  }),
};

function isConfirmed(action: Offered): action is Confirmed {
  return action in QUESTION;
}

function former({ replaced, version }: Service): string {
  if (!replaced) return "the version before";
  // A restore in place changes no version.
  return replaced.version === version ? "what it was" : `version ${replaced.version}`;
}

function labelOf(action: Offered, service: Service): string {
  if (action === "START") return ACTION.START;
  return `${action === "REVERT" ? `Go back to ${former(service)}` : ACTION[action]}…`;
}

/** What a viewer may do to a service now, with the questions that are asked before, and what went wrong the last time. */
export function useActions(project: Project, service: Service, entry: Entry | undefined) {
  const { ask, resize, upgrade, destroy, asking, error, forget } = useAction(project, service);
  const [asked, setAsked] = useState<Exclude<Offered, "START"> | null>(null);
  const of = (action: Action): Item | null => {
    if (action === "ROTATE_CREDENTIALS" || !service.viewerActions.includes(action)) return null;
    if (action === "RESIZE" && !entry) return null;
    return {
      label: labelOf(action, service),
      sign: action,
      danger: action === "DESTROY",
      act: () => {
        if (asking) return;
        if (action === "START") void ask("START");
        else setAsked(action);
      },
    };
  };
  // What went wrong is said in its dialog, where something was chosen or typed.
  const stays = CHOSEN.some((chosen) => chosen === asked);
  const { part, error: unloaded, again } = usePart(() => import("./dialogs"), stays);
  const items = (actions: readonly Offered[]) => actions.flatMap((action) => of(action) ?? []);
  const close = () => {
    // It was about what stood there.
    if (stays) forget();
    setAsked(null);
  };
  const resized = async (tier: SizeTier, apply: ResizeApply) => {
    const former = service.tier;
    const after = await resize(tier, apply);
    if (!after) return;
    setAsked(null);
    if (apply === "AT_NEXT_RESTART" && after.restartPending) offerBack(project, after, former);
  };
  const upgraded = async (version: string) => {
    if (await upgrade(version)) setAsked(null);
  };
  const destroyed = async (finalBackup: boolean) => {
    if (!(await destroy(finalBackup))) return;
    setAsked(null);
    if (finalBackup) toast(`${service.name} is destroyed once its final backup is verified.`, { href: addressOf(service.id, "backups") });
  };
  const confirmed = async (action: Confirmed) => {
    await ask(action);
    setAsked(null);
  };
  const busy = asking !== null;
  const shared = { service, busy, error, close };
  const chosen = () => {
    if (unloaded) {
      return (
        <Dialog class="small" title={service.name} close={close}>
          <Failure error={unloaded} retry={again} />
        </Dialog>
      );
    }
    if (!part) return null;
    if (asked === "DESTROY") return <part.Destroy {...shared} destroy={destroyed} />;
    if (asked === "UPGRADE") return <part.Upgrade {...shared} kind={entry?.name ?? service.kind} upgrade={upgraded} />;
    return entry && <part.Resize {...shared} entry={entry} resize={resized} />;
  };
  const sure = (action: Confirmed) => {
    const { title, text, yes } = QUESTION[action](service);
    return (
      <Confirm
        title={title}
        yes={yes ?? ACTION[action]}
        danger={action === "REVERT"}
        busy={busy}
        close={close}
        confirmed={() => confirmed(action)}
      >
        <p>{text}</p>
      </Confirm>
    );
  };
  const dialog = asked === null ? null : isConfirmed(asked) ? sure(asked) : chosen();
  return { of, usual: items(USUAL), rare: items(RARE), dialog, error: stays ? null : error };
}
