import { memo } from "preact/compat";
import { KindIcon } from "../marks";
import { addressOf, type Tab } from "../route";
import type { Service } from "../state";
import { OPERATION, STATE } from "../words";

interface RailProps {
  services: readonly Service[];
  open: string;
  tab: Tab;
}

/** The other services, beside the one that is open. */
export function Rail({ services, open, tab }: RailProps) {
  return (
    <nav class="rail" aria-label="Services">
      <ul>
        {services.map((service) => (
          <Entry key={service.id} service={service} open={service.id === open} tab={tab} />
        ))}
      </ul>
    </nav>
  );
}

const Entry = memo(function Entry({ service, open, tab }: { service: Service; open: boolean; tab: Tab }) {
  const { operation } = service;
  return (
    <li data-service={service.name}>
      <a class={open ? "open" : ""} href={addressOf(service.id, tab)} aria-current={open ? "page" : undefined}>
        <KindIcon kind={service.kind} size={15} />
        <span>
          <span class="rail-name">{service.name}</span>
          <span class={`rail-state state-${service.state.toLowerCase()}`}>
            {operation ? OPERATION[operation.kind] : STATE[service.state]}
          </span>
        </span>
      </a>
    </li>
  );
});
