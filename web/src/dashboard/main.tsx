import "./style.css";

import { render } from "preact";
import { listen } from "./embedding/embedding";
import { keepFocus } from "./focus";
import { Page } from "./page";

listen();
keepFocus();
render(<Page />, document.getElementById("root") as HTMLElement);
