/** A text with dots for what is masked in it, which are not read out one by one. */
export function Value({ text }: { text: string }) {
  return (
    <code>
      {text.split(/(•+)/).map((part, index) =>
        part.startsWith("•") ? (
          <span key={index}>
            <span aria-hidden="true">{part}</span>
            <span class="unseen">hidden</span>
          </span>
        ) : (
          part
        ),
      )}
    </code>
  );
}
