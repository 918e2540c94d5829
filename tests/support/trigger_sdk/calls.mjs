// What Trigger.dev's client does against a server: node calls.mjs BASE KEY TASK STALLS. Prints what each call gave as JSON.
import { ApiError, batch, configure, idempotencyKeys, runs, schedules, tasks } from "@trigger.dev/sdk";
import { apiClientManager } from "@trigger.dev/core/v3";

const [baseURL, accessToken, taskId, stallId] = process.argv.slice(2);
configure({ baseURL, accessToken, requestOptions: { retry: { maxAttempts: 1 } } });
const TASK = "customer-prompt-task";
const said = {};

async function all(pages) {
  const found = [];
  for await (const one of pages) found.push(one);
  return found;
}

async function failing(call) {
  try {
    return { good: await call() };
  } catch (error) {
    return { api: error instanceof ApiError, name: error.constructor.name, status: error.status, message: error.message };
  }
}

// schedules
said.zones = (await schedules.timezones()).timezones;
said.zonesWithoutUtc = (await schedules.timezones({ excludeUtc: true })).timezones;
const plan = { task: TASK, cron: "30 8 * * MON-FRI", deduplicationKey: "teaser", timezone: "Europe/Madrid" };
said.created = await schedules.create({ ...plan, externalId: "label-1" });
said.upserted = await schedules.create({ ...plan, cron: "0 9 * * *" });
const id = said.created.id;
said.retrieved = await schedules.retrieve(id);
said.updated = await schedules.update(id, { task: TASK, cron: "15 10 * * *", externalId: "label-2" });
said.deactivated = await schedules.deactivate(id);
said.stillThere = await schedules.retrieve(id);
said.activated = await schedules.activate(id);
said.activatedAgain = await schedules.retrieve(id);
said.listed = await all(schedules.list());
const page = await schedules.list({ page: 1, perPage: 1 });
said.page = { items: page.data.length, pagination: page.pagination };
said.ofTask = (await all(schedules.list())).find((one) => one.externalId === taskId);
said.deleted = await schedules.del(id);
said.gone = await failing(() => schedules.retrieve(id));
said.badCron = await failing(() => schedules.create({ ...plan, cron: "every day" }));
said.badZone = await failing(() => schedules.create({ ...plan, timezone: "Mars/Olympus" }));

// a run from beginning to end
const payload = { externalId: taskId, at: new Date("2026-01-02T03:04:05.678Z"), list: [1, null, "two"] };
const key = await idempotencyKeys.create("first", { scope: "global" });
const options = { idempotencyKey: key, tags: ["one", "two"], metadata: { from: "sdk" }, ttl: "1h", maxAttempts: 2 };
said.triggered = await tasks.trigger(TASK, payload, options);
said.triggeredAgain = await tasks.trigger(TASK, payload, options);
said.polled = await runs.poll(said.triggered.id, { pollIntervalMs: 100 });
said.result = await apiClientManager.client.getRunResult(said.triggered.id);
said.unknownTask = await failing(() => tasks.trigger("no-such-task", {}));
said.unknownRun = await failing(() => runs.retrieve("run_" + "0".repeat(21)));

// a run that is put off
said.delayed = await tasks.trigger(TASK, { n: 1 }, { delay: "1h", tags: "late" });
said.delayedRun = await runs.retrieve(said.delayed.id);
said.unfinished = (await apiClientManager.client.getRunResult(said.delayed.id)) ?? null;
said.rescheduled = await runs.reschedule(said.delayed.id, { delay: new Date(Date.now() + 7200_000) });
said.notReschedulable = await failing(() => runs.reschedule(said.triggered.id, { delay: "1h" }));
said.tagged = await apiClientManager.client.addTags(said.delayed.id, { tags: ["later", "still"] });
said.tooManyTags = await failing(() =>
  apiClientManager.client.addTags(said.delayed.id, { tags: Array.from({ length: 10 }, (_, n) => `tag-${n}`) }),
);
said.metadata = await apiClientManager.client.updateRunMetadata(said.delayed.id, { metadata: { a: { b: 1 } } });
said.metadataRead = await apiClientManager.client.getRunMetadata(said.delayed.id);
said.replayed = await runs.replay(said.delayed.id);
said.cancelled = await runs.cancel(said.delayed.id);
said.cancelledRun = await runs.retrieve(said.delayed.id);
said.cancelledAgain = await runs.cancel(said.delayed.id);
said.replay = await runs.poll(said.replayed.id, { pollIntervalMs: 100 });

// a run that is at work when it is cancelled
said.stalled = await tasks.trigger(TASK, { externalId: stallId });
for (let n = 0; n < 600 && !(await runs.retrieve(said.stalled.id)).isExecuting; n++) {
  await new Promise((resolve) => setTimeout(resolve, 50));
}
await runs.cancel(said.stalled.id);
said.stalledRun = await runs.poll(said.stalled.id, { pollIntervalMs: 100 });

// several at once
said.batch = await tasks.batchTrigger(TASK, [{ payload: { n: 1 } }, { payload: { n: 2 }, options: { tags: "odd" } }]);
said.batchRuns = await all(runs.list({ batch: said.batch.batchId }));
for (const one of said.batchRuns) await runs.poll(one.id, { pollIntervalMs: 100 });
said.batchState = await batch.retrieve(said.batch.batchId);

// lists
said.all = await all(runs.list({ limit: 2 }));
const first = await runs.list({ limit: 2 });
const second = await first.getNextPage();
const back = await second.getPreviousPage();
said.pages = [first, second, back].map((one) => one.data.map((run) => run.id));
const ids = async (query) => (await all(runs.list(query))).map((run) => run.id);
said.filtered = {
  completed: await ids({ status: "COMPLETED" }),
  cancelled: await ids({ status: ["CANCELED"] }),
  late: await ids({ tag: "late" }),
  either: await ids({ tag: ["one", "odd"] }),
  task: await ids({ taskIdentifier: TASK }),
  otherTask: await ids({ taskIdentifier: "other" }),
  recent: await ids({ from: new Date(Date.now() - 3600_000), to: new Date(Date.now() + 60_000) }),
  early: await ids({ to: new Date(Date.now() - 3600_000) }),
  period: await ids({ period: "1h" }),
  tests: await ids({ isTest: true }),
};

console.log(JSON.stringify(said));
