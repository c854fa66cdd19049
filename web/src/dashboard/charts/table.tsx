import type { Measured } from "./series";
import { timeInFull } from "./ticks";

export interface Column {
  title: string;
  /** In words, or null where it is not known. */
  text: (step: Measured) => string | null;
}

/** The same figures as the charts, for who would rather read them. */
export function FigureTable({ steps, columns }: { steps: readonly Measured[]; columns: readonly Column[] }) {
  return (
    <div class="figures" role="region" aria-label="Measurements, newest first" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">Time</th>
            {columns.map(({ title }) => (
              <th key={title} scope="col">
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {steps.toReversed().map((step) => (
            <tr key={step.at}>
              <th scope="row">
                <time dateTime={new Date(step.at).toISOString()}>{timeInFull(step.at)}</time>
              </th>
              {columns.map(({ title, text }) => (
                <td key={title}>{text(step) ?? <span class="quiet">–</span>}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
