import { useEffect, useRef, useState } from "preact/hooks";
import type { ApiError } from "../api";
import type { Entry } from "../create/provision";
import type { ResizeApply, SizeTier } from "../generated";
import { Dialog } from "../parts/dialog";
import { Failure, Wrong } from "../parts/failure";
import { type Tier, Tiers } from "../parts/tiers";
import type { Service } from "../state";
import { useUsage } from "../usage";
import { cores, size } from "../words";
import { misfit, obstacle, prospect } from "./sizing";

interface ResizeProps {
  service: Service;
  entry: Entry;
  busy: boolean;
  error: ApiError | null;
  close: () => void;
  resize: (tier: SizeTier, apply: ResizeApply) => void;
}

/** Asks which size a service is to have, and says what becomes of those who are connected to it. */
export function Resize({ service, entry, busy, error, close, resize }: ResizeProps) {
  const { tier: now } = service;
  const { sample } = useUsage(service);
  const [chosen, setChosen] = useState<SizeTier | null>(null);
  const [apply, setApply] = useState<ResizeApply | null>(null);
  // Which size it had when this was opened, and which one was asked for last.
  const before = useRef(now.tier);
  const [asked, setAsked] = useState<SizeTier | null>(null);
  const body = useRef<HTMLDivElement>(null);
  const to = entry.tiers.find(({ tier }) => tier === chosen && tier !== now.tier);
  const blocked = obstacle(service);
  const prospects = to && !blocked ? prospect(service, to, entry) : null;
  const ways = typeof prospects === "object" ? prospects : null;
  const way = ways?.find((way) => way.apply === apply) ?? ways?.[0];
  // It is about the size that was asked for, and no other.
  const refusal = !busy && error && asked === to?.tier ? error : null;
  const wrong = refusal?.field === "tier" ? refusal : null;
  useEffect(() => {
    if (!wrong) return;
    body.current?.querySelector<HTMLElement>('[name="tier"]:checked')?.focus({ preventScroll: true });
    body.current?.querySelector(".wrong")?.scrollIntoView({ block: "nearest" });
  }, [wrong]);

  const submit = () => {
    if (!to || blocked || busy) return;
    setAsked(to.tier);
    // Where there is no choice, all of it comes as soon as it can.
    resize(to.tier, way?.apply ?? "NOW");
  };
  const remark = (tier: Tier) => {
    if (tier.tier === now.tier) return <span class="tag now">Its size now</span>;
    // What the server itself says about it stands below.
    const text = wrong && tier === to ? null : misfit(service, tier, entry, sample);
    return text && <span class="caution">{text}</span>;
  };
  return (
    <Dialog
      title={`Change the size of ${service.name}`}
      close={close}
      submit={submit}
      footer={
        <>
          {refusal && !wrong && <Failure error={refusal} />}
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="primary" aria-disabled={busy} disabled={!to || blocked !== null}>
            {to ? `Change to ${to.name}` : "Change size"}
          </button>
        </>
      }
    >
      <div class="resize" ref={body}>
        <Tiers first tiers={entry.tiers} chosen={to?.tier ?? now.tier} choose={setChosen} remark={remark}>
          {wrong && <Wrong error={wrong} />}
        </Tiers>
        <dl class="from-to">
          <FromTo name="Memory" from={size(now.memoryMib)} to={to && size(to.memoryMib)} />
          <FromTo name="CPU" from={cores(now.cpus)} to={to && cores(to.cpus)} />
          <FromTo name="Storage" from={size(now.storageMib)} to={to && size(to.storageMib)} />
        </dl>
        {ways && (
          <fieldset class="ways">
            <legend>When</legend>
            {ways.map(({ apply, label, text }) => (
              <label key={apply} class="card">
                <input type="radio" name="apply" value={apply} checked={apply === way?.apply} onChange={() => setApply(apply)} />
                <span>
                  <strong>{label}</strong>
                  <span class="quiet">{text}</span>
                </span>
              </label>
            ))}
          </fieldset>
        )}
        <div role="status">
          {!busy && now.tier !== before.current && <p>Its size was changed to {now.name} in the meantime.</p>}
          {blocked && <p class="wrong">{blocked}</p>}
          {typeof prospects === "string" && <p>{prospects}</p>}
          {!to && !blocked && <p class="quiet">Its data, address and password stay as they are.</p>}
        </div>
      </div>
    </Dialog>
  );
}

function FromTo({ name, from, to }: { name: string; from: string; to: string | undefined }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {from}
        {to && to !== from && (
          <>
            <span class="quiet" aria-hidden="true">
              {" → "}
            </span>
            <span class="unseen"> to </span>
            <strong>{to}</strong>
          </>
        )}
      </dd>
    </div>
  );
}
