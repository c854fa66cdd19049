import "./style.css";

import { render } from "preact";
import { Page } from "./page";
import { listen } from "./session";

listen();
render(<Page />, document.getElementById("root") as HTMLElement);
