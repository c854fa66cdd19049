import { useEffect, useState } from "preact/hooks";
import { ApiError, connected, send } from "./api";
import {
  DestroyServiceDocument,
  RepairServiceDocument,
  type ResizeApply,
  ResizeServiceDocument,
  type ResizeServiceInput,
  RestartServiceDocument,
  RevertServiceDocument,
  RotateCredentialsDocument,
  type SizeTier,
  StartServiceDocument,
  StopServiceDocument,
  UpdateImageDocument,
  UpgradeServiceDocument,
} from "./generated";
import type { Project } from "./project";
import type { Service } from "./state";
import { useStore } from "./store";
import type { Action } from "./words";

const ASK: Record<Exclude<Action, "RESIZE" | "UPGRADE" | "DESTROY">, (id: string) => Promise<Service>> = {
  START: async (id) => (await send(StartServiceDocument, { id })).startService.service,
  STOP: async (id) => (await send(StopServiceDocument, { id })).stopService.service,
  RESTART: async (id) => (await send(RestartServiceDocument, { id })).restartService.service,
  ROTATE_CREDENTIALS: async (id) => (await send(RotateCredentialsDocument, { id })).rotateCredentials.service,
  REVERT: async (id) => (await send(RevertServiceDocument, { id })).revertService.service,
  UPDATE_IMAGE: async (id) => (await send(UpdateImageDocument, { id })).updateImage.service,
  REPAIR: async (id) => (await send(RepairServiceDocument, { id })).repairService.service,
};

export async function resizeService(input: Required<ResizeServiceInput>): Promise<Service> {
  return (await send(ResizeServiceDocument, { input })).resizeService.service;
}

/** Asks the API for actions on a service, one at a time. */
export function useAction(project: Project, service: Service) {
  const [asking, setAsking] = useState<Action | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const live = useStore(connected);
  useEffect(() => {
    if (live) setError((error) => (error?.code === "OFFLINE" ? null : error));
  }, [live]);
  /** Gives back the service as it is then; null where that did not work. */
  const run = async (action: Action, request: () => Promise<Service>) => {
    if (asking) return null;
    setAsking(action);
    setError(null);
    try {
      const after = await request();
      project.answered(after);
      return after;
    } catch (reason) {
      setError(ApiError.of(reason));
      return null;
    } finally {
      setAsking(null);
    }
  };
  const ask = (action: keyof typeof ASK) => run(action, () => ASK[action](service.id));
  const resize = (tier: SizeTier, apply: ResizeApply) => run("RESIZE", () => resizeService({ id: service.id, tier, apply }));
  const upgrade = (version: string) =>
    run("UPGRADE", async () => (await send(UpgradeServiceDocument, { input: { id: service.id, version } })).upgradeService.service);
  const destroy = (finalBackup: boolean) =>
    run("DESTROY", async () => (await send(DestroyServiceDocument, { id: service.id, finalBackup })).destroyService.service);
  const forget = () => setError(null);
  return { ask, resize, upgrade, destroy, asking, error, forget };
}
