import { useEffect, useRef, useState } from "preact/hooks";
import { placeBelow } from "../embedding/height";
import { Icon } from "../icons";
import { Store, useStore } from "../store";
import { announce } from "./announcer";

interface Toast {
  number: number;
  text: string;
  bad: boolean;
  /** Where what it tells of can be looked at. */
  href: string | undefined;
}

/** How long one stays that tells of nothing bad, in milliseconds, and how many there are at most. */
const STAY = 8_000;
const MOST = 4;

const toasts = new Store<readonly Toast[]>([]);
let number = 0;

/** Tells of something that ended where nobody looks. */
export function toast(text: string, { bad = false, href }: { bad?: boolean; href?: string } = {}): void {
  toasts.set([...toasts.value, { number: number++, text, bad, href }].slice(-MOST));
  announce(text);
}

export function Toasts() {
  const shown = useStore(toasts);
  const place = useRef<HTMLElement>(null);
  useEffect(() => {
    if (place.current) return placeBelow(place.current, 16);
  }, [shown]);
  return (
    <section ref={place} class="toasts" aria-label="Notifications">
      {shown.map((toast) => (
        <Card key={toast.number} toast={toast} />
      ))}
    </section>
  );
}

function Card({ toast: { number, text, bad, href } }: { toast: Toast }) {
  const [held, setHeld] = useState(false);
  const close = () => toasts.set(toasts.value.filter((toast) => toast.number !== number));
  useEffect(() => {
    if (bad || held) return;
    const timer = setTimeout(close, STAY);
    return () => clearTimeout(timer);
  }, [bad, held]);
  return (
    <div
      class={bad ? "toast bad" : "toast"}
      onPointerEnter={() => setHeld(true)}
      onPointerLeave={() => setHeld(false)}
      onFocusIn={() => setHeld(true)}
      onFocusOut={() => setHeld(false)}
    >
      <Icon sign={bad ? "warning" : "done"} size={16} />
      <p>{text}</p>
      {href && (
        <a href={href} onClick={close}>
          Show
        </a>
      )}
      <button type="button" class="bare" aria-label="Dismiss" onClick={close}>
        <Icon sign="close" size={14} />
      </button>
    </div>
  );
}
