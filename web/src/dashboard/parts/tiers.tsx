import type { ComponentChildren } from "preact";
import type { SizeTier, StartQuery } from "../generated";
import { cores, size } from "../words";

export type Tier = StartQuery["serviceCatalog"][number]["tiers"][number];

interface TiersProps {
  tiers: readonly Tier[];
  chosen: SizeTier | undefined;
  choose: (tier: SizeTier) => void;
  /** What else is to be said of one. */
  remark?: (tier: Tier) => ComponentChildren;
  /** Whether the chosen one has the focus when a dialog opens. */
  first?: boolean;
  children?: ComponentChildren;
}

/** The sizes that a kind comes in, side by side, to choose one of. */
export function Tiers({ tiers, chosen, choose, remark, first, children }: TiersProps) {
  return (
    <fieldset class="tiers">
      <legend>Size</legend>
      {tiers.map((spec) => (
        <label key={spec.tier} class="card">
          <input
            type="radio"
            name="tier"
            value={spec.tier}
            data-first={(first && spec.tier === chosen) || undefined}
            checked={spec.tier === chosen}
            onChange={() => choose(spec.tier)}
          />
          <span>
            <strong>{spec.name}</strong>
            <span class="quiet">{size(spec.memoryMib)} memory</span>
            <span class="quiet">{cores(spec.cpus)}</span>
            <span class="quiet">{size(spec.storageMib)} storage</span>
            {remark?.(spec)}
          </span>
        </label>
      ))}
      {children}
    </fieldset>
  );
}
