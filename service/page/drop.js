// Files dropped or chosen. A dropped folder gives the files of the folder in it that holds an adapter.

const CONFIG = "adapter_config.json";

/** Calls `onFiles(files)` when files are dropped on `area` or chosen in its input. */
export function takeFiles(area, input, onFiles) {
  for (const name of ["dragenter", "dragover"])
    area.addEventListener(name, (event) => {
      event.preventDefault();
      area.classList.add("over");
    });
  for (const name of ["dragleave", "drop"]) area.addEventListener(name, () => area.classList.remove("over"));
  area.addEventListener("drop", async (event) => {
    event.preventDefault();
    onFiles(await dropped(event.dataTransfer));
  });
  input.addEventListener("change", () => {
    if (input.files.length) onFiles([...input.files]);
    input.value = "";
  });
}

async function dropped(data) {
  const entries = [...data.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const folder = entries.find((entry) => entry.isDirectory);
  return folder ? adapterIn(folder) : [...data.files];
}

/** The files of the first folder, at or under `folder`, in which there is an adapter's config. */
async function adapterIn(folder) {
  const entries = await entriesOf(folder);
  const files = entries.filter((entry) => entry.isFile);
  if (files.some((entry) => entry.name === CONFIG)) return Promise.all(files.map(fileOf));
  for (const inner of entries.filter((entry) => entry.isDirectory)) {
    const found = await adapterIn(inner);
    if (found.length) return found;
  }
  return [];
}

async function entriesOf(folder) {
  const reader = folder.createReader();
  const all = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return all;
    all.push(...some);
  }
}

const fileOf = (entry) => new Promise((resolve, reject) => entry.file(resolve, reject));
