// What is loaded only when one of these dialogs is opened.

import "./dialogs.css";

export { Destroy } from "./destroy";
export { Resize } from "./resize";
export { Upgrade } from "./upgrade";
