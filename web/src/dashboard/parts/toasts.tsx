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
  offer: Offer | undefined;
}

/** What can still be done about what a toast tells. It stays until it is taken, put away or withdrawn. */
interface Offer {
  label: string;
  act: () => void;
}

/** How long one stays that tells of nothing bad and offers nothing, in milliseconds, and how many there are at most. */
const STAY = 8_000;
const MOST = 4;

const toasts = new Store<readonly Toast[]>([]);
let number = 0;

/** Tells of something that ended where nobody looks, or can be undone. Gives back what takes it away. */
export function toast(text: string, { bad = false, href, offer }: { bad?: boolean; href?: string; offer?: Offer } = {}): () => void {
  const mine = { number: number++, text, bad, href, offer };
  toasts.set([...toasts.value, mine].slice(-MOST));
  announce(text);
  return () => toasts.set(toasts.value.filter((toast) => toast !== mine));
}

/** Takes away what is offered about a project that nobody looks at any more. */
export function withdrawOffers(): void {
  toasts.set(toasts.value.filter(({ offer }) => !offer));
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

function Card({ toast: { number, text, bad, href, offer } }: { toast: Toast }) {
  const [held, setHeld] = useState(false);
  const close = () => toasts.set(toasts.value.filter((toast) => toast.number !== number));
  useEffect(() => {
    if (bad || held || offer) return;
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
      {offer && (
        <button
          type="button"
          onClick={() => {
            close();
            offer.act();
          }}
        >
          {offer.label}
        </button>
      )}
      <button type="button" class="bare" aria-label="Dismiss" onClick={close}>
        <Icon sign="close" size={14} />
      </button>
    </div>
  );
}
