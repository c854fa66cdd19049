/** Saves a text as a file whose name ends with the time. */
export function save(text: string, name: string, ending: "csv" | "log"): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: ending === "csv" ? "text/csv" : "text/plain" }));
  link.download = `${name}-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
