-- Health of an OktaUserSync for Argo CD, which knows nothing of a custom resource by itself and shows an application with
-- one as healthy before anybody has looked at it. How to install it: docs/gitops.md.
local health = { status = "Progressing", message = "the operator has not looked at it yet" }
if obj.metadata.deletionTimestamp ~= nil then
  health.message = "it is being deleted"
  return health
end
if obj.status == nil or obj.status.conditions == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return health
end
local found = {}
for _, condition in ipairs(obj.status.conditions) do
  found[condition.type] = condition
end
local ready, stalled, reconciling = found["Ready"], found["Stalled"], found["Reconciling"]
if obj.spec ~= nil and obj.spec.suspend == true then
  health.status = "Suspended"
  health.message = ready ~= nil and ready.message or "spec.suspend is true"
elseif stalled ~= nil and stalled.status == "True" then
  health.status = "Degraded"
  health.message = stalled.message
elseif reconciling ~= nil and reconciling.status == "True" then
  health.message = reconciling.message
elseif ready ~= nil and ready.status == "True" then
  health.status = "Healthy"
  health.message = ready.message
elseif ready ~= nil then
  health.message = ready.message
end
return health
