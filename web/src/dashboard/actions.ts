import { useEffect, useState } from "preact/hooks";
import { ApiError, connected, send } from "./api";
import {
  DestroyServiceDocument,
  RestartServiceDocument,
  RotateCredentialsDocument,
  type ServiceAction,
  StartServiceDocument,
  StopServiceDocument,
} from "./generated";
import type { Project } from "./project";
import type { Service } from "./state";
import { useStore } from "./store";

export type Action = Exclude<ServiceAction, "REVEAL_CREDENTIALS" | "RUN_SQL" | "BROWSE_KEYS">;

const ASK: Record<Action, (id: string) => Promise<Service>> = {
  START: async (id) => (await send(StartServiceDocument, { id })).startService.service,
  STOP: async (id) => (await send(StopServiceDocument, { id })).stopService.service,
  RESTART: async (id) => (await send(RestartServiceDocument, { id })).restartService.service,
  DESTROY: async (id) => (await send(DestroyServiceDocument, { id })).destroyService.service,
  ROTATE_CREDENTIALS: async (id) => (await send(RotateCredentialsDocument, { id })).rotateCredentials.service,
};

/** Asks the API for actions on a service, one at a time. */
export function useAction(project: Project, service: Service) {
  const [asking, setAsking] = useState<Action | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const live = useStore(connected);
  useEffect(() => {
    if (live) setError((error) => (error?.code === "OFFLINE" ? null : error));
  }, [live]);
  const ask = async (action: Action) => {
    if (asking) return false;
    setAsking(action);
    setError(null);
    try {
      project.answered(await ASK[action](service.id));
      return true;
    } catch (reason) {
      setError(ApiError.of(reason));
      return false;
    } finally {
      setAsking(null);
    }
  };
  return { ask, asking, error };
}
