import type { ComponentChildren } from "preact";
import { createPortal } from "preact/compat";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { placeDialog } from "../embedding/height";
import { Icon } from "../icons";

interface DialogProps {
  title: string;
  close: () => void;
  /** What the dialog is submitted for; without it it is no form. */
  submit?: () => void;
  /** What stays in sight below what scrolls. */
  footer?: ComponentChildren;
  class?: string;
  children: ComponentChildren;
}

/** A dialog over the page. It ends by Escape, by its button and by what is done in it. */
export function Dialog(props: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const gone = useRef(false);
  useLayoutEffect(() => {
    const shown = dialog.current;
    if (!shown) return;
    shown.showModal();
    // The browser itself would not do it in a page of another origin.
    shown.querySelector<HTMLElement>("[data-first]")?.focus();
    const leave = placeDialog(shown);
    return () => {
      // Gives the focus back to what had it, which removing the dialog would not. Nobody has asked to close what comes after it.
      gone.current = true;
      shown.close();
      leave();
    };
  }, []);
  const title = useId();
  const { submit } = props;
  const parts = (
    <>
      <div class="body">{props.children}</div>
      {props.footer && <footer>{props.footer}</footer>}
    </>
  );
  // Not where it is asked for: a row that keeps its contents to itself would keep the focus from going back.
  return createPortal(
    <dialog
      ref={dialog}
      class={props.class}
      aria-labelledby={title}
      // The browser would give the focus back before the page knows that it is closed, and what is pressed in between would be lost.
      onCancel={(event) => {
        event.preventDefault();
        props.close();
      }}
      onClose={() => gone.current || props.close()}
    >
      <header>
        <h2 id={title}>{props.title}</h2>
        <button type="button" class="bare" aria-label="Close" onClick={props.close}>
          <Icon sign="close" />
        </button>
      </header>
      {submit ? (
        // What is wrong is said beside what it is about, in words of our own.
        <form
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            submit();
          }}
        >
          {parts}
        </form>
      ) : (
        parts
      )}
    </dialog>,
    document.body,
  );
}

interface ConfirmProps {
  title: string;
  children: ComponentChildren;
  /** What the button says that does it. */
  yes: string;
  /** Whether something is lost by it. */
  danger?: boolean;
  busy: boolean;
  close: () => void;
  confirmed: () => void;
}

/** Asks whether somebody means it. The harmless answer has the focus. */
export function Confirm({ title, children, yes, danger, busy, close, confirmed }: ConfirmProps) {
  return (
    <Dialog
      class="small"
      title={title}
      close={close}
      footer={
        <>
          <button type="button" data-first onClick={close}>
            Cancel
          </button>
          <button type="button" class={danger ? "danger solid" : "primary"} aria-disabled={busy} onClick={confirmed}>
            {yes}
          </button>
        </>
      }
    >
      {children}
    </Dialog>
  );
}
