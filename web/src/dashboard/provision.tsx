import { useId, useRef, useState } from "preact/hooks";
import { ApiError, send } from "./api";
import { ProvisionDocument, type ServiceKind, type SizeTier, type StartQuery } from "./generated";
import { KindIcon } from "./icons";
import { Dialog, Failure } from "./parts";
import type { Project } from "./project";
import type { Service } from "./state";
import { cores, size } from "./words";

export type Catalog = StartQuery["serviceCatalog"];

/** What the API takes as a name, for browsers to check at once. */
const NAME = "[a-z0-9]([a-z0-9\\-]{0,38}[a-z0-9])?";

const RULE = "Up to 40 lower-case letters, digits and hyphens, no hyphen first or last.";

/** After these nobody knows whether the request was taken. */
const UNCLEAR = new Set(["OFFLINE", "UNAVAILABLE", "INTERNAL_SERVER_ERROR"]);

interface ProvisionProps {
  project: Project;
  catalog: Catalog;
  close: () => void;
  done: (service: Service) => void;
}

/** Asks what to provision. */
export function Provision({ project, catalog, close, done }: ProvisionProps) {
  const [kind, setKind] = useState<ServiceKind | null>(null);
  const [tier, setTier] = useState<SizeTier | null>(null);
  const [version, setVersion] = useState<string | null>(null);
  const [name, setName] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  // What was asked for, where nobody knows whether the request arrived: the same once more is the same request.
  const unclear = useRef<{ asked: string; key: string } | null>(null);
  const hint = useId();

  const entry =
    catalog.find((entry) => entry.kind === kind) ?? catalog.find((entry) => entry.availability === "AVAILABLE");
  const chosenTier = entry?.tiers.find((spec) => spec.tier === tier) ?? entry?.tiers[0];
  const chosenVersion = version ?? entry?.defaultVersion ?? null;

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (!entry || !chosenTier || busy) return;
    setBusy(true);
    setError(null);
    const wanted = {
      projectId: project.id,
      kind: entry.kind,
      tier: chosenTier.tier,
      version: chosenVersion,
      name: name || null,
    };
    const asked = JSON.stringify(wanted);
    const key = unclear.current?.asked === asked ? unclear.current.key : newKey();
    try {
      const answer = await send(ProvisionDocument, { input: { ...wanted, idempotencyKey: key } });
      project.answered(answer.provisionService.service);
      done(answer.provisionService.service);
    } catch (reason) {
      const error = ApiError.of(reason);
      unclear.current = UNCLEAR.has(error.code) ? { asked, key } : null;
      setError(error);
      setBusy(false);
    }
  };

  return (
    <Dialog title="New service" close={close}>
      <form onSubmit={submit}>
        <fieldset class="kinds">
          <legend>Kind</legend>
          {catalog.map((offer) => {
            const coming = offer.availability === "COMING_SOON";
            return (
              <label key={offer.kind} class={coming ? "card coming" : "card"} title={coming ? offer.description : undefined}>
                <input
                  type="radio"
                  name="kind"
                  autoFocus={offer === entry}
                  value={offer.kind}
                  checked={offer === entry}
                  disabled={coming}
                  onChange={() => {
                    setKind(offer.kind);
                    setVersion(null);
                  }}
                />
                <KindIcon kind={offer.kind} />
                <span>
                  <strong>{offer.name}</strong>
                  {coming ? <span class="tag">Coming soon</span> : <span class="quiet">{offer.description}</span>}
                </span>
              </label>
            );
          })}
        </fieldset>
        <fieldset class="tiers">
          <legend>Size</legend>
          {entry?.tiers.map((spec) => (
            <label key={spec.tier} class="card">
              <input
                type="radio"
                name="tier"
                value={spec.tier}
                checked={spec === chosenTier}
                onChange={() => setTier(spec.tier)}
              />
              <span>
                <strong>{spec.name}</strong>
                <span class="quiet">{size(spec.memoryMib)} memory</span>
                <span class="quiet">{cores(spec.cpus)}</span>
                <span class="quiet">{size(spec.storageMib)} storage</span>
              </span>
            </label>
          ))}
        </fieldset>
        <div class="fields">
          <label>
            Version
            <select value={chosenVersion ?? ""} onChange={(event) => setVersion(event.currentTarget.value)}>
              {entry?.versions.map((version) => (
                <option key={version} value={version}>
                  {version}
                  {version === entry.defaultVersion ? " (default)" : ""}
                </option>
              ))}
            </select>
          </label>
          <label>
            Name
            <input
              value={name}
              onInput={(event) => {
                setName(event.currentTarget.value);
                setError(null);
              }}
              pattern={NAME}
              title={RULE}
              placeholder={`${entry?.kind.toLowerCase()}, or what you like`}
              autoComplete="off"
              autoCapitalize="none"
              spellcheck={false}
              aria-describedby={hint}
              aria-invalid={error?.field === "name" || error?.code === "CONFLICT"}
            />
          </label>
        </div>
        <p class="quiet" id={hint}>
          {RULE} Without a name it is called after its kind.
        </p>
        {error && <Failure error={error} />}
        <footer>
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="primary" aria-disabled={busy} disabled={!entry}>
            {busy ? "Asking…" : `Create ${entry?.name ?? "service"}`}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

/** Makes a request that is sent twice the same request. */
function newKey(): string {
  return [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(36)).join("-");
}
