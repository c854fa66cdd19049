import { useState } from "preact/hooks";
import type { Catalog } from "../create/provision";
import { Icon } from "../icons";
import { Copy } from "../parts/copy";
import { Failure, Notice } from "../parts/failure";
import type { Project } from "../project";
import type { Service } from "../state";
import { envFile, hostOf, type Side, type Variable, variables } from "./address";
import { clientsOf } from "./clients";
import { Rotation } from "./rotation";
import { useSecrets } from "./secrets";
import { Snippets } from "./snippets";
import { Value } from "./value";

interface ConnectProps {
  project: Project;
  service: Service;
  entry: Catalog[number];
}

const SIDES: Record<Side, { name: string; hint: string }> = {
  inside: { name: "Inside the project", hint: "For containers on the project’s network." },
  outside: { name: "Outside", hint: "For your own machine and everything else that reaches this address." },
};

/** All that it takes to connect, from either side; only the password is masked. */
export function Connect({ project, service, entry }: ConnectProps) {
  const secrets = useSecrets(service);
  const [side, setSide] = useState<Side>("inside");
  if (service.state === "DESTROYED") {
    return <Notice level="h3" sign="lock" title="Destroyed, and its credentials with it" />;
  }
  const { mayReveal, shown } = secrets;
  const list = variables(service, entry.credentialKeys, secrets.values, side);
  const url = list.find(({ key }) => key.endsWith("_URL"));
  /** What is copied has no dots in it: they are filled in before. */
  const copied = (text: (list: readonly Variable[]) => string) => async () => {
    if (!list.some(({ masked }) => masked)) return text(list);
    const values = await secrets.read();
    return values && text(variables(service, entry.credentialKeys, values, side));
  };
  const valueIn = (list: readonly Variable[], wanted: string) => list.find(({ key }) => key === wanted)?.value ?? "";
  return (
    <div class="connect">
      <div class="bar">
        <fieldset class="sides">
          <legend class="unseen">Connect from</legend>
          {(["inside", "outside"] as const).map((name) => (
            <label key={name}>
              <input type="radio" name="side" value={name} checked={name === side} onChange={() => setSide(name)} />
              {SIDES[name].name}
            </label>
          ))}
        </fieldset>
        <p class="quiet grow">{SIDES[side].hint}</p>
        {shown && <span class="quiet">Hidden again in {secrets.left} s</span>}
        {mayReveal && (
          <button key="reveal" type="button" aria-disabled={secrets.busy} onClick={shown ? secrets.hide : secrets.reveal}>
            <Icon sign={shown ? "hide" : "eye"} size={16} /> {shown ? "Hide" : "Reveal"}
          </button>
        )}
      </div>
      {secrets.error && <Failure error={secrets.error} />}
      {hostOf(service, side) ? (
        <>
          <dl class="credentials">
            {list.map(({ key, value, masked }) => (
              <div key={key} class={key === url?.key ? "url" : ""}>
                <dt>{key}</dt>
                <dd class="copied">
                  <Value text={value} />
                  {(mayReveal || !masked) && <Copy text={masked ? copied((list) => valueIn(list, key)) : value} what={key} />}
                </dd>
              </div>
            ))}
          </dl>
          <div class="bar below">
            {mayReveal ? (
              <>
                <Copy text={copied(envFile)} what="The .env file" label="Copy as .env" />
                <p class="quiet">That you reveal or copy the password is recorded in the history.</p>
              </>
            ) : (
              <p class="quiet">
                <Icon sign="lock" size={16} /> To see the password you need the permission to change this project’s services.
              </p>
            )}
          </div>
        </>
      ) : (
        <Notice level="h3" sign="lock" title="Nothing outside can reach it now">
          <p>It has an address outside the project only while it runs, and only where the platform publishes services.</p>
        </Notice>
      )}
      <Snippets
        clients={clientsOf(service.kind)}
        list={list}
        copied={copied}
        copyable={mayReveal}
      />
      <Rotation project={project} service={service} hide={secrets.hide} />
    </div>
  );
}
