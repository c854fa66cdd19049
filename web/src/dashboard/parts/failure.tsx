import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { ApiError } from "../api";
import { explained } from "../errors";
import { Icon, type Sign } from "../icons";

/** Tells what did not work and what helps, where it was tried; it comes into sight by itself. */
export function Failure({ error, retry }: { error: ApiError; retry?: () => void }) {
  const shown = useRef<HTMLDivElement>(null);
  useEffect(() => shown.current?.scrollIntoView({ block: "nearest" }), [error]);
  const { text, advice } = explained(error);
  return (
    <div class="failure" role="alert" ref={shown}>
      <Icon sign="warning" />
      <div>
        <p>{text}</p>
        {advice && <p class="quiet">{advice}</p>}
      </div>
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** Tells what is wrong with an input, beside it. */
export function Wrong({ error }: { error: ApiError }) {
  return (
    <p class="wrong" role="alert">
      <Icon sign="warning" size={15} /> {explained(error).text}
    </p>
  );
}

/** A page, or a part of one, that has nothing to list. */
export function Notice(props: { sign: Sign; title: string; level?: "h1" | "h2" | "h3"; children?: ComponentChildren }) {
  const Heading = props.level ?? "h2";
  return (
    <div class="notice">
      <Icon sign={props.sign} size={40} />
      <Heading>{props.title}</Heading>
      {props.children}
    </div>
  );
}
