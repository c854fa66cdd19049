import type { ComponentChildren } from "preact";

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

const SIGNS = {
  START: <path d="M7 4.500v15l12-7.500z" />,
  STOP: <rect x="6" y="6" width="12" height="12" rx="1.5" />,
  RESTART: <path d="M20 12a8 8 0 1 1-2.4-5.700L20 8.500M20 3.500v5h-5" />,
  DESTROY: <path d="M4 6.500h16M9.5 6V3.500h5V6M6.5 6.500l1 14h9l1-14M10 10.500v6M14 10.500v6" />,
  RESIZE: <path d="M8 20V4M4.500 7.500 8 4l3.500 3.500M16 4v16M12.500 16.500 16 20l3.500-3.500" />,
  UPGRADE: <path d="M12 16V8M8.500 11.500 12 8l3.500 3.500M12 3.500a8.500 8.500 0 1 0 .1 0z" />,
  REVERT: <path d="M4 9h10a5.500 5.500 0 0 1 0 11H8M8 5 4 9l4 4" />,
  UPDATE_IMAGE: <path d="M12 3.500v9M8.500 9l3.500 3.500L15.500 9M4 12v8h16v-8" />,
  REPAIR: <path d="M20 7.500a5 5 0 0 1-6.700 4.700L6.500 19.500a1.800 1.800 0 0 1-2.500-2.500l7.300-6.800A5 5 0 0 1 16.500 4l-2.700 3 .5 2.700 2.700.5z" />,
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
  search: (
    <>
      <circle cx="10.5" cy="10.5" r="6.5" />
      <path d="m15.5 15.5 5 5" />
    </>
  ),
  more: <path d="M6 9.500l6 6 6-6" />,
  keyboard: (
    <>
      <rect x="2.5" y="6" width="19" height="12" rx="2" />
      <path d="M6 10h.1M10 10h.1M14 10h.1M18 10h.1M8 14h8" />
    </>
  ),
  hide: (
    <>
      <path d="M4 4l16 16M9.500 5.900A9 9 0 0 1 12 5.500c6 0 9.500 6.500 9.500 6.500a17 17 0 0 1-3.100 3.900M6 7.600A16 16 0 0 0 2.500 12s3.500 6.500 9.500 6.500a9 9 0 0 0 4.300-1.100" />
      <path d="M9.900 9.900a3 3 0 0 0 4.200 4.200" />
    </>
  ),
  download: <path d="M12 3.500v12M7 11l5 5 5-5M4 20.500h16" />,
  larger: <path d="M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5" />,
  smaller: <path d="M9 4v5H4M15 4v5h5M9 20v-5H4M15 20v-5h5" />,
  terminal: <path d="M5 7l5 5-5 5M12 18h7" />,
  logs: <path d="M4 6h16M4 12h16M4 18h10" />,
  connect: <path d="M9 3v5M15 3v5M6 8h12v3a6 6 0 0 1-12 0zM12 17v4" />,
  clock: (
    <>
      <circle cx="12" cy="12" r="8.5" />
      <path d="M12 7v5l3.500 2" />
    </>
  ),
  backups: <path d="M3.500 4.500h17v4h-17zM5 8.500v11h14v-11M10 12.500h4" />,
  boxes: <path d="m12 3 8.5 4.500v9L12 21l-8.5-4.500v-9zM3.5 7.5 12 12l8.5-4.500M12 12v9" />,
} as const;

export type Sign = keyof typeof SIGNS;

export function Icon({ sign, size }: { sign: Sign; size?: number }) {
  return <Drawing size={size}>{SIGNS[sign]}</Drawing>;
}
