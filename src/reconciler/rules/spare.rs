//! The instances that it has besides the one that runs it.

use super::{Facts, Verdict};
use crate::domain::instance::{Instance, Role};
use crate::reconciler::steps::Step;

/// What ran it until now is still there, and has the address that the one that is to run it needs.
pub(super) fn leaving(facts: &Facts<'_>) -> Verdict {
    match facts.instances.iter().find(|instance| instance.role == Role::Leaving) {
        Some(instance) => Verdict::Do(Step::Retire(instance.id), "another instance ran it until now"),
        None => Verdict::Pass,
    }
}

/// Nobody wants it any more.
pub(super) fn unwanted(facts: &Facts<'_>) -> Verdict {
    match facts.instances.iter().find(|instance| is_unwanted(facts, instance)) {
        Some(instance) => Verdict::Do(Step::Purge(instance.id), "nobody wants an instance of it any more"),
        None => Verdict::Pass,
    }
}

fn is_unwanted(facts: &Facts<'_>, instance: &Instance) -> bool {
    match instance.role {
        // What goes on begins with a new one.
        Role::Building => super::version::replacing(facts).is_none(),
        Role::Going => true,
        Role::Replaced | Role::Reverted => !instance.is_kept(facts.now),
        // A check sees to its own.
        Role::Leaving | Role::Checking | Role::Unknown => false,
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::super::tests::Case;
    use super::*;
    use crate::domain::id::InstanceId;
    use crate::domain::service::{OperationKind, ServiceState};
    use crate::domain::task::{Job, Task, TaskId};

    fn instance(case: &Case, role: Role) -> Instance {
        let keep = SignedDuration::from_hours(1);
        let of = Instance::replaced(&case.service, role, keep, case.now);
        Instance { id: InstanceId(uuid::Uuid::from_u128(9)), ..of }
    }

    #[test]
    fn what_was_replaced_is_kept_for_its_time_and_then_removed_beside_what_runs() {
        let mut case = Case::new();
        case.instances = vec![instance(&case, Role::Replaced)];
        assert_eq!(case.says(unwanted), Verdict::Pass);
        case.now += SignedDuration::from_hours(2);
        let plan = case.plan();
        assert_eq!(plan.step, Some(Step::Purge(case.instances[0].id)));
        assert_eq!((plan.after.state, plan.after.operation), (ServiceState::Running, None), "nobody sees it");
    }

    #[test]
    fn what_was_being_built_goes_once_its_upgrade_is_over() {
        let mut case = Case::new();
        let building = instance(&case, Role::Building);
        case.instances = vec![building.clone()];
        assert!(matches!(case.says(unwanted), Verdict::Do(Step::Purge(_), _)));
        case.tasks = vec![Task::new(TaskId(uuid::Uuid::from_u128(1)), case.service.id, Job::Upgrade, case.now)];
        assert_eq!(case.says(unwanted), Verdict::Pass);
    }

    #[test]
    fn what_runs_it_no_more_goes_before_anything_is_made() {
        let mut case = Case::fresh();
        case.service.operation = Some(crate::domain::service::Operation::queued(OperationKind::Revert, case.now));
        case.instances = vec![instance(&case, Role::Leaving)];
        assert_eq!(case.plan().step, Some(Step::Retire(case.instances[0].id)));
    }
}
