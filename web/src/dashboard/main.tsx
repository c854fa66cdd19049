import "./style.css";

import { render } from "preact";
import { keepFocus } from "./focus";
import { Page } from "./page";
import { listen } from "./session";

listen();
keepFocus();
render(<Page />, document.getElementById("root") as HTMLElement);
