/** @jsxImportSource react */
import { useGraphiQL, useGraphiQLActions } from "@graphiql/react";
import { useEffect, useRef, useState } from "react";
import { createPortal } from "react-dom";
import { PROJECT, SERVICE } from "./examples";
import { type Named, projectsOf, servicesOf } from "./project";

/** How long after the last key a token is complete, in milliseconds. */
const TYPED = 300;

interface ChoicesProps {
  token: string;
  /** What was answered last; a mutation may have made a service, or removed one. */
  answer: unknown;
  /** Where they stand on the page: outside GraphiQL, whose editors they fill. */
  place: HTMLElement | null;
}

/** Which project and which service the variables are about. */
export function Choices({ token, answer, place }: ChoicesProps) {
  const [projects, setProjects] = useState<string[]>([]);
  const [project, setProject] = useState("");
  const [services, setServices] = useState<Named[]>([]);
  const [service, setService] = useState("");
  const editor = useGraphiQL(({ variableEditor }) => variableEditor);
  const tab = useGraphiQL(({ activeTabIndex }) => activeTabIndex);
  const { setTheme } = useGraphiQLActions();
  const theme = useGraphiQL(({ theme }) => theme);
  // What was written by somebody else than this stays.
  const ours = useRef(new Set([PROJECT, SERVICE]));

  const fill = (key: string, wanted: string, always = false) => {
    if (!editor || !wanted) return;
    ours.current.add(wanted);
    const text = editor.getValue();
    const filled = text.replace(new RegExp(`("${key}":\\s*")([^"]*)(")`), (all, before, value, after) =>
      always || ours.current.has(value) ? `${before}${wanted}${after}` : all,
    );
    if (filled !== text) editor.setValue(filled);
  };
  const read = async (created?: string) => {
    const found = token && project ? await servicesOf(token, project) : [];
    setServices(found);
    const known = (id: string | undefined) => found.some((one) => one.id === id);
    setService((service) => (created && known(created) ? created : known(service) ? service : (found[0]?.id ?? "")));
  };
  useEffect(() => {
    if (!token) return setProjects([]);
    const timer = setTimeout(async () => {
      const found = await projectsOf(token);
      setProjects(found);
      const addressed = new URLSearchParams(location.search).get("project");
      setProject((project) => project || addressed || found.find((one) => one !== "*") || "");
    }, TYPED);
    return () => clearTimeout(timer);
  }, [token]);
  useEffect(() => {
    void read();
  }, [token, project]);
  useEffect(() => {
    const data = (answer as { data?: Record<string, { service?: { id?: string } }> } | null)?.data;
    if (data && Object.keys(data).some((field) => /^(provision|destroy)Service$/.test(field))) void read(data.provisionService?.service?.id);
  }, [answer]);
  useEffect(() => fill("projectId", project), [editor, tab, project]);
  useEffect(() => fill("id", service), [editor, tab, service]);
  useEffect(() => {
    // GraphiQL itself looks once.
    const system = matchMedia("(prefers-color-scheme: dark)");
    const changed = () => theme ?? setTheme(null);
    system.addEventListener("change", changed);
    return () => system.removeEventListener("change", changed);
  }, [theme]);

  if (!place || projects.length === 0) return null;
  return createPortal(
    <>
      <label>
        <span>Project</span>
        {projects.includes("*") ? (
          <input value={project} spellCheck={false} autoComplete="off" onChange={(event) => setProject(event.target.value)} />
        ) : (
          <select value={project} onChange={(event) => setProject(event.target.value)}>
            {projects.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        )}
      </label>
      <label>
        <span>Service</span>
        <select
          value={service}
          title="Its id is put into the variables"
          onFocus={() => void read()}
          onChange={(event) => {
            setService(event.target.value);
            fill("id", event.target.value, true);
          }}
        >
          {services.length === 0 && <option value="">None yet</option>}
          {services.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </select>
      </label>
    </>,
    place,
  );
}
