"""slurm.conf of a cluster for tests, the script that caps submissions, and ports that are free."""

import random
import socket

# Below the range that Linux gives to outgoing connections (32768 up), which would otherwise take a port before its daemon does.
PORTS = range(12000, 32000)
# Slurm keeps slurm.jobs from one call to the next and compares whole seconds, so that a submission would miss what happened since
# another one in the same second. A script newer than at its last load is loaded again and its jobs are read again: hence touch.
LUA_SCRIPT = """\
os.execute("touch -r '%(script)s' -d '1 second' '%(script)s'")
local CAP = %(cap)d
local NO_TASK = 4294967294  -- NO_VAL: the one record that stands for the waiting tasks of an array

local function submitted(array)
  if not array or array == "" then return 1 end
  local seen, count = {}, 0
  for part in string.gmatch((string.gsub(array, "%%%%.*", "")), "[^,]+") do
    local first, last, step = string.match(part, "^(%%d+)-?(%%d*):?(%%d*)$")
    for task = tonumber(first), tonumber(last) or tonumber(first), tonumber(step) or 1 do
      if not seen[task] then seen[task] = true; count = count + 1 end
    end
  end
  return count
end

local function present(job)
  if job.job_state %% 256 > 2 then return 0 end  -- 0 pending, 1 running, 2 suspended; flags lie above 255
  if job.array_task_id == NO_TASK and job.array_task_cnt then return job.array_task_cnt end
  return 1
end

function slurm_job_submit(description, partitions, uid)
  local count = submitted(description.array_inx)
  for _, job in pairs(slurm.jobs) do
    if job.user_id == description.user_id then count = count + present(job) end
  end
  if count <= CAP then return slurm.SUCCESS end
  slurm.log_user("AssocMaxSubmitJobLimit")
  return slurm.ESLURM_ACCOUNTING_POLICY
end

function slurm_job_modify(description, record, partitions, uid)
  return slurm.SUCCESS
end

return slurm.SUCCESS
"""

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
# cred_expire is also how long a requeued job waits before it may start again (120 by default, 5 is the least).
AuthInfo=socket={root}/munge/socket,cred_expire=5
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool/%n
SlurmctldPidFile={root}/run/slurmctld.pid
SlurmdPidFile={root}/run/%n.pid
SlurmctldLogFile={root}/log/slurmctld.log
SlurmdLogFile={root}/log/%n.log
SlurmctldDebug=verbose
SlurmdDebug=verbose
SlurmdParameters=config_overrides
ProctrackType={proctrack}
TaskPlugin={task}
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU={memory_per_cpu}
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=100000,bf_interval=1,bf_continue
# Not 2, with which a node set DOWN whose slurmd lives is back at once.
ReturnToService=1
JobRequeue=1
KillWait=3
OverTimeLimit=0
InactiveLimit=0
MinJobAge={min_job_age}
MaxArraySize=10001
MaxJobCount=20000
MessageTimeout={message_timeout}
SlurmctldTimeout=30
SlurmdTimeout=15
EpilogMsgTime=0
"""


def free_ports(count: int) -> list[int]:
    """TCP ports on which nothing listens now, in random order, so that clusters that start together hardly meet."""
    found: list[int] = []
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError(f"{count} free ports wanted between {PORTS.start} and {PORTS.stop}, {len(found)} found")
