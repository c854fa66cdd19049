import { useEffect, useId, useRef, useState } from "preact/hooks";
import { ApiError, send } from "../api";
import { ProvisionDocument, type ServiceKind, type SizeTier, type StartQuery, UsageDocument, type UsageQuery } from "../generated";
import { KindIcon } from "../marks";
import { Dialog } from "../parts/dialog";
import { Failure, Wrong } from "../parts/failure";
import { Tiers } from "../parts/tiers";
import type { Project } from "../project";
import { listed, type Service } from "../state";
import { useStore } from "../store";
import { Name, problemOf, unnamed } from "./name";
import { useOnce } from "./once";

export type Catalog = StartQuery["serviceCatalog"];
export type Entry = Catalog[number];

/** The inputs that an error may be about. */
const FIELDS = new Set(["name", "version", "tier", "kind"]);

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
  const once = useOnce();
  const form = useRef<HTMLDivElement>(null);
  const taken = new Set(listed(useStore(project.state)).map(({ name }) => name));
  const usage = useProjectUsage(project, taken.size);

  const entry =
    catalog.find((entry) => entry.kind === kind) ?? catalog.find((entry) => entry.availability === "AVAILABLE");
  const chosenTier = entry?.tiers.find((spec) => spec.tier === tier) ?? entry?.tiers[0];
  const chosenVersion = version ?? entry?.defaultVersion ?? null;
  const wrong = error?.code === "CONFLICT" ? "name" : error?.field && FIELDS.has(error.field) ? error.field : null;

  useEffect(() => {
    if (!wrong) return;
    const field = form.current?.querySelector<HTMLElement>(`[name="${wrong}"]:checked, [name="${wrong}"]:not([type="radio"])`);
    field?.focus({ preventScroll: true });
    field?.closest("label, fieldset")?.scrollIntoView({ block: "center" });
  }, [error]);

  const submit = async () => {
    if (!entry || !chosenTier || busy) return;
    const problem = problemOf(name, taken);
    if (problem) return setError(new ApiError(problem, "BAD_USER_INPUT", "name"));
    setBusy(true);
    setError(null);
    const wanted = {
      projectId: project.id,
      kind: entry.kind,
      tier: chosenTier.tier,
      version: chosenVersion,
      name: name || null,
    };
    try {
      const answer = await once(wanted, (idempotencyKey) => send(ProvisionDocument, { input: { ...wanted, idempotencyKey } }));
      project.answered(answer.provisionService.service);
      done(answer.provisionService.service);
    } catch (reason) {
      setError(ApiError.of(reason));
      setBusy(false);
    }
  };
  const changed = <T,>(set: (value: T) => void) => (value: T) => {
    set(value);
    setError(null);
  };
  const at = (field: string) => (wrong === field && error ? <Wrong error={error} /> : null);

  return (
    <Dialog
      title="New service"
      close={close}
      submit={submit}
      footer={
        <>
          {error && !wrong ? <Failure error={error} /> : <Quota usage={usage} />}
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="primary" aria-disabled={busy} disabled={!entry || isFull(usage)}>
            {busy ? "Creating…" : `Create ${entry?.name ?? "service"}`}
          </button>
        </>
      }
    >
      <div class="new-service" ref={form}>
        <Kinds
          catalog={catalog}
          chosen={entry}
          choose={(kind) => {
            changed(setKind)(kind);
            setVersion(null);
          }}
        />
        {at("kind")}
        <div class="fields">
          <label>
            Version
            <select
              name="version"
              value={chosenVersion ?? ""}
              onChange={(event) => changed(setVersion)(event.currentTarget.value)}
              aria-invalid={wrong === "version"}
            >
              {entry?.versions.map((version) => (
                <option key={version} value={version}>
                  {version}
                  {version === entry.defaultVersion ? " (default)" : ""}
                </option>
              ))}
            </select>
            {at("version")}
          </label>
          <Name name={name} change={changed(setName)} unnamed={unnamed(entry?.kind, taken)} error={wrong === "name" ? error : null} />
        </div>
        <Tiers tiers={entry?.tiers ?? []} chosen={chosenTier?.tier} choose={changed(setTier)}>
          {at("tier")}
        </Tiers>
      </div>
    </Dialog>
  );
}

type Usage = NonNullable<UsageQuery["project"]>["usage"] | null;

/** How much the project has of what it may have, as the API counts it; null until that is known. */
function useProjectUsage(project: Project, services: number): Usage {
  const [usage, setUsage] = useState<Usage>(null);
  useEffect(() => {
    send(UsageDocument, { project: project.id })
      .then((answer) => setUsage(answer.project?.usage ?? null))
      // Whoever asks for one too many is told so then.
      .catch(() => {});
  }, [project, services]);
  return usage;
}

function isFull(usage: Usage): boolean {
  return usage !== null && usage.services >= usage.servicesMaximum;
}

/** How many services the project has of those that it may have, once few are left. */
function Quota({ usage }: { usage: Usage }) {
  if (!usage || usage.servicesMaximum - usage.services > 3) return null;
  const { services: used, servicesMaximum: most } = usage;
  return (
    <p class="quiet quota" role="status">
      {used < most
        ? `This project has ${used} of at most ${most} services.`
        : `This project has all ${most} services that it may have. Destroy one to create another.`}
    </p>
  );
}

/** Why a kind can't be provisioned. */
const MISSING: Record<Entry["availability"], string | null> = {
  AVAILABLE: null,
  COMING_SOON: "Coming soon",
  WITHDRAWN: "Not offered",
};

interface KindsProps {
  catalog: Catalog;
  chosen: Entry | undefined;
  choose: (kind: ServiceKind) => void;
}

function Kinds({ catalog, chosen, choose }: KindsProps) {
  const description = useId();
  return (
    <fieldset class="kinds" aria-describedby={description}>
      <legend>Kind</legend>
      {catalog.map((offer) => {
        const missing = MISSING[offer.availability];
        return (
          <label key={offer.kind} class={missing ? "card coming" : "card"} title={offer.description}>
            <input
              type="radio"
              name="kind"
              data-first={offer === chosen || undefined}
              value={offer.kind}
              checked={offer === chosen}
              disabled={missing !== null}
              onChange={() => choose(offer.kind)}
            />
            <KindIcon kind={offer.kind} />
            <span>
              <strong>{offer.name}</strong>
              {missing && <span class="tag">{missing}</span>}
            </span>
          </label>
        );
      })}
      <p class="quiet hint" id={description}>
        {chosen?.description}
      </p>
    </fieldset>
  );
}
