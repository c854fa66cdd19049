//! Containers that end though nobody asked for it.

use jiff::SignedDuration;

use super::{Failure, LIMIT, Plan, Planner};
use crate::domain::service::{Container, ContainerStatus, ErrorCode, OperationPhase};

/// After this long without an unasked end a service counts as stable again.
pub(super) const STABLE: SignedDuration = SignedDuration::from_secs(30);
/// Unasked ends that lie further apart than this are no loop.
const LOOP_WINDOW: SignedDuration = SignedDuration::from_mins(5);

/// How long to leave a container alone that has ended `crashes` times: not at all after the first end, then growing to
/// five minutes.
pub(super) fn pause(crashes: u32) -> SignedDuration {
    match crashes {
        0 | 1 => SignedDuration::ZERO,
        n => SignedDuration::from_secs((1i64 << (n - 2).min(9)).min(300)),
    }
}

impl Planner<'_> {
    /// Takes note of a run that nobody asked to end; tells whether there is one that was not known of. What was ended
    /// by hand is no crash: the engine brings back what ends by itself, and leaves what a person stopped or killed.
    pub(super) fn count_end(&mut self, container: &Container) -> bool {
        let evidence = &mut self.after.evidence;
        let ended = match container.status {
            ContainerStatus::Exited { .. } | ContainerStatus::Restarting { .. } => container.run.clone(),
            // It ended and was brought back before anybody looked.
            ContainerStatus::Running if evidence.ready_run.is_some() && evidence.ready_run != container.run => {
                evidence.ready_run.clone()
            }
            _ => None,
        };
        let Some(ended) = ended.filter(|run| Some(run) != evidence.ended_run.as_ref()) else { return false };
        // A run that is over is not compared with later ones any more: its end would be counted again.
        if evidence.ready_run.as_ref() == Some(&ended) {
            evidence.ready_run = None;
        }
        evidence.ended_run = Some(ended);
        let by_hand = container.restarts && matches!(container.status, ContainerStatus::Exited { .. });
        if by_hand || self.service.operation.as_ref().is_some_and(|o| o.phase == OperationPhase::Stopping) {
            return true;
        }
        let recent = evidence.crashed_at.is_some_and(|at| self.now.duration_since(at) < LOOP_WINDOW);
        evidence.crashes = if recent { evidence.crashes.saturating_add(1) } else { 1 };
        evidence.crashed_at = Some(self.now);
        true
    }

    /// The plan where a container has ended too often; None where it should be started.
    pub(super) fn crash_loop(&mut self, status: ContainerStatus) -> Option<Plan> {
        let crashes = self.after.evidence.crashes;
        let (ContainerStatus::Exited { exit_code, out_of_memory }
        | ContainerStatus::Restarting { exit_code, out_of_memory }) = status
        else {
            return None;
        };
        if crashes >= LIMIT {
            let failure = if out_of_memory {
                Failure {
                    code: ErrorCode::OutOfMemory,
                    message: format!(
                        "The server inside was ended for want of memory; its tier has {} MiB.",
                        self.service.spec.tier.memory_mib
                    ),
                }
            } else {
                Failure {
                    code: ErrorCode::CrashLoop,
                    message: format!(
                        "The server inside ends again and again, the last time with exit code {exit_code}."
                    ),
                }
            };
            self.fail(&failure);
        }
        let resume = self.after.evidence.crashed_at.map(|at| at + pause(crashes)).filter(|at| *at > self.now)?;
        let reason = "it ended more than once and is left alone for a while";
        Some(Plan { after: self.after.clone(), action: None, reason, again: Some(resume) })
    }
}
