import { resizeService } from "../actions";
import { ApiError } from "../api";
import { explained } from "../errors";
import { toast } from "../parts/toasts";
import type { Project } from "../project";
import { addressOf } from "../route";
import type { Service } from "../state";

/** Offers the size that a service had before, for as long as the new one waits for a restart. */
export function offerBack(project: Project, after: Service, former: Service["tier"]): void {
  const { id, name, revision, tier } = after;
  const back = async () => {
    try {
      project.answered(await resizeService({ id, tier: former.tier, apply: "AT_NEXT_RESTART" }));
      toast(`${name} keeps the size ${former.name}.`);
    } catch (reason) {
      toast(explained(ApiError.of(reason)).text, { bad: true, href: addressOf(id) });
    }
  };
  const withdraw = toast(`${name} has the rest of the size ${tier.name} after its next restart.`, {
    offer: { label: `Back to ${former.name}`, act: back },
  });
  const end = project.state.subscribe(({ services }) => {
    const now = services.get(id);
    // The answer itself may not be drawn yet.
    if (now && now.revision < revision) return;
    if (now?.restartPending && !now.operation && now.tier.tier === tier.tier && now.viewerActions.includes("RESIZE")) return;
    end();
    withdraw();
  });
}
