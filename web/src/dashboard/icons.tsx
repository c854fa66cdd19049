import type { ComponentChildren } from "preact";
import type { ServiceKind } from "./generated";

/** A drawing of 24 by 24 for the eye only; what it means stands beside it. */
function Drawing({ children, size = 18 }: { children: ComponentChildren; size?: number | undefined }) {
  return (
    <svg
      class="icon"
      viewBox="0 0 24 24"
      width={size}
      height={size}
      fill="none"
      stroke="currentColor"
      stroke-width="1.75"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      {children}
    </svg>
  );
}

const KINDS: Record<ServiceKind, ComponentChildren> = {
  POSTGRESQL: (
    <>
      <ellipse cx="12" cy="5.5" rx="7.5" ry="3" />
      <path d="M4.5 5.5v13c0 1.7 3.4 3 7.5 3s7.5-1.3 7.5-3v-13M4.5 12c0 1.7 3.4 3 7.5 3s7.5-1.3 7.5-3" />
    </>
  ),
  REDIS: <path d="m12 3 9 4.5-9 4.5-9-4.5zM3 12l9 4.5 9-4.5M3 16.5 12 21l9-4.5" />,
  MYSQL: (
    <>
      <rect x="3.5" y="4" width="17" height="16" rx="2" />
      <path d="M3.5 9.5h17M3.5 14.75h17M9.5 9.5V20" />
    </>
  ),
  MONGODB: <path d="M12 2.5c4.5 4 6 7.2 6 10.5 0 3.3-2.5 5.5-6 6.5-3.5-1-6-3.2-6-6.5 0-3.3 1.5-6.5 6-10.500zM12 9v12.5" />,
  QDRANT: (
    <>
      <path d="m12 2.5 8.5 4.750v9.500L12 21.500l-8.5-4.750v-9.500z" />
      <circle cx="12" cy="12" r="2.5" />
    </>
  ),
  MINIO: <path d="M4 6.500h16l-2 14H6zM4 6.500c0-1.5 3.5-3 8-3s8 1.5 8 3" />,
  MAILPIT: (
    <>
      <rect x="3" y="5" width="18" height="14" rx="2" />
      <path d="m3.5 7 8.5 6.500L20.5 7" />
    </>
  ),
  UNKNOWN: <circle cx="12" cy="12" r="8.5" />,
};

export function KindIcon({ kind, size }: { kind: ServiceKind; size?: number }) {
  return (
    <span class={`kind kind-${kind.toLowerCase()}`}>
      <Drawing size={size}>{KINDS[kind]}</Drawing>
    </span>
  );
}

const SIGNS = {
  START: <path d="M7 4.500v15l12-7.500z" />,
  STOP: <rect x="6" y="6" width="12" height="12" rx="1.5" />,
  RESTART: <path d="M20 12a8 8 0 1 1-2.4-5.700L20 8.500M20 3.500v5h-5" />,
  DESTROY: <path d="M4 6.500h16M9.5 6V3.500h5V6M6.5 6.500l1 14h9l1-14M10 10.500v6M14 10.500v6" />,
  add: <path d="M12 5v14M5 12h14" />,
  back: <path d="M15 5l-7 7 7 7" />,
  close: <path d="M6 6l12 12M18 6 6 18" />,
  copy: (
    <>
      <rect x="8.5" y="8.5" width="12" height="12" rx="2" />
      <path d="M15.5 8.500v-3a2 2 0 0 0-2-2h-8a2 2 0 0 0-2 2v8a2 2 0 0 0 2 2h3" />
    </>
  ),
  done: <path d="m5 12.5 4.5 4.500L19 7.5" />,
  eye: (
    <>
      <path d="M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12z" />
      <circle cx="12" cy="12" r="3" />
    </>
  ),
  warning: <path d="M12 4 2.5 20.500h19zM12 10v5M12 17.800v.2" />,
  lock: (
    <>
      <rect x="5" y="10.5" width="14" height="10" rx="2" />
      <path d="M8 10.500V7.500a4 4 0 0 1 8 0v3" />
    </>
  ),
  boxes: <path d="m12 3 8.5 4.500v9L12 21l-8.5-4.500v-9zM3.5 7.5 12 12l8.5-4.500M12 12v9" />,
} as const;

export type Sign = keyof typeof SIGNS;

export function Icon({ sign, size }: { sign: Sign; size?: number }) {
  return <Drawing size={size}>{SIGNS[sign]}</Drawing>;
}
