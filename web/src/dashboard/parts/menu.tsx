import { useId, useRef, useState } from "preact/hooks";
import { Icon, type Sign } from "../icons";

export interface Item {
  label: string;
  sign: Sign;
  danger?: boolean;
  /** Where it leads; without it, what it does. */
  href?: string;
  act?: () => void;
}

/** A button that opens a menu: the arrow keys go through it, Escape leaves it, letters find what begins with them. */
export function Menu({ label, of, groups }: { label: string; of: string; groups: Item[][] }) {
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  const menu = useRef<HTMLDivElement>(null);
  const [open, setOpen] = useState(false);
  const shown = groups.filter((group) => group.length > 0);
  const items = () => [...(menu.current?.querySelectorAll<HTMLElement>("[role=menuitem]") ?? [])];

  const place = () => {
    const at = button.current?.getBoundingClientRect();
    if (!at || !menu.current) return;
    const { clientWidth: wide, clientHeight: high } = document.documentElement;
    const needed = 38 * shown.flat().length + 24;
    const below = at.bottom + needed <= high;
    const { style } = menu.current;
    style.right = `${Math.max(8, wide - at.right)}px`;
    // Above it where there is more room, and in a low frame over it.
    style.top = below ? `${at.bottom + 4}px` : at.top > needed ? "auto" : `${Math.max(4, high - needed)}px`;
    style.bottom = !below && at.top > needed ? `${high - at.top + 4}px` : "auto";
  };
  const close = () => menu.current?.hidePopover();
  const toggled = (isOpen: boolean) => {
    setOpen(isOpen);
    if (!isOpen) return;
    items()[0]?.focus();
    // It does not go along with what scrolls below it.
    window.addEventListener("scroll", close, { once: true, capture: true });
  };
  const go = (event: KeyboardEvent) => {
    const all = items();
    const at = all.indexOf(document.activeElement as HTMLElement);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1 + all.length, Home: 0, End: all.length - 1 }[event.key];
    if (next !== undefined) all[next % all.length]?.focus();
    else if (event.key === "Tab") close();
    else if (event.key.length === 1 && /\w/.test(event.key)) {
      const rest = [...all.slice(at + 1), ...all.slice(0, at + 1)];
      rest.find((item) => item.textContent?.trim().toLowerCase().startsWith(event.key.toLowerCase()))?.focus();
    } else return;
    event.stopPropagation();
    if (event.key !== "Tab") event.preventDefault();
  };

  return (
    <>
      <button
        ref={button}
        type="button"
        class="menu-button"
        aria-label={`${label} for ${of}`}
        aria-haspopup="menu"
        aria-expanded={open}
        popovertarget={id}
      >
        <span>{label}</span> <Icon sign="more" size={14} />
      </button>
      <div
        ref={menu}
        id={id}
        class="menu"
        popover="auto"
        role="menu"
        aria-label={`${label} for ${of}`}
        onBeforeToggle={(event) => {
          if (event.newState !== "open") return;
          place();
          setOpen(true);
        }}
        onToggle={(event) => toggled(event.newState === "open")}
        onKeyDown={go}
        onClickCapture={() => {
          close();
          // Before anything is opened by what was chosen, which then gives the focus back to here.
          button.current?.focus();
        }}
      >
        {/* A long list has many menus, and nobody sees more than one. */}
        {(open ? shown : []).map((group, index) => (
          <div key={index} role="group">
            {group.map(({ label, sign, danger, href, act }) =>
              href ? (
                <a key={label} role="menuitem" tabIndex={-1} href={href}>
                  <Icon sign={sign} size={16} /> {label}
                </a>
              ) : (
                <button key={label} type="button" role="menuitem" tabIndex={-1} class={danger ? "danger" : ""} onClick={act}>
                  <Icon sign={sign} size={16} /> {label}
                </button>
              ),
            )}
          </div>
        ))}
      </div>
    </>
  );
}
