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

export type Catalog = StartQuery["serviceCatalog"];
export type Entry = Catalog[number];

/** What the API takes as a name. */
const NAME = /^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/;

/** After these nobody knows whether the request was taken. */
const UNCLEAR = new Set(["OFFLINE", "UNAVAILABLE", "INTERNAL_SERVER_ERROR"]);

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
  // What was asked for, where nobody knows whether the request arrived: the same once more is the same request.
  const unclear = useRef<{ asked: string; key: string } | null>(null);
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
        const coming = offer.availability === "COMING_SOON";
        return (
          <label key={offer.kind} class={coming ? "card coming" : "card"} title={offer.description}>
            <input
              type="radio"
              name="kind"
              data-first={offer === chosen || undefined}
              value={offer.kind}
              checked={offer === chosen}
              disabled={coming}
              onChange={() => choose(offer.kind)}
            />
            <KindIcon kind={offer.kind} />
            <span>
              <strong>{offer.name}</strong>
              {coming && <span class="tag">Coming soon</span>}
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

interface NameProps {
  name: string;
  change: (name: string) => void;
  /** What it is called when it gets no name. */
  unnamed: string;
  error: ApiError | null;
}

function Name({ name, change, unnamed, error }: NameProps) {
  const hint = useId();
  return (
    <div>
      <label>
        Name
        <input
          name="name"
          value={name}
          onInput={(event) => change(event.currentTarget.value)}
          maxLength={40}
          placeholder={unnamed}
          autoComplete="off"
          autoCapitalize="none"
          spellcheck={false}
          aria-describedby={hint}
          aria-invalid={error !== null}
        />
      </label>
      <div id={hint} class="hint">
        {error ? <Wrong error={error} /> : <span class="quiet">Lower-case letters, digits and hyphens. Optional.</span>}
      </div>
    </div>
  );
}

/** What is wrong with a name, before the API has to say so. */
function problemOf(name: string, taken: ReadonlySet<string>): string | null {
  if (name === "") return null;
  if (taken.has(name)) return `This project already has a service called “${name}”. Choose another name.`;
  if (NAME.test(name)) return null;
  if (/[A-Z]/.test(name)) return "Use lower-case letters only.";
  if (/^-|-$/.test(name)) return "A name can’t begin or end with a hyphen.";
  return "Use lower-case letters, digits and hyphens only.";
}

/** The name that the API makes from a kind. */
function unnamed(kind: ServiceKind | undefined, taken: ReadonlySet<string>): string {
  const base = kind?.toLowerCase() ?? "";
  for (let number = 1; ; number++) {
    const name = number === 1 ? base : `${base}-${number}`;
    if (!taken.has(name)) return name;
  }
}

/** Makes a request that is sent twice the same request. */
function newKey(): string {
  return [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(36)).join("-");
}
